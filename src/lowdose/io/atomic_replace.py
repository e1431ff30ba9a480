"""One file replaced whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.io.atomic import output_errors, temporary_path


def replace_file(path: Path, data: bytes) -> None:
    """``path`` holds all of ``data``, or what it held before. Raises OutputRefused."""
    hidden = temporary_path(path)
    try:
        with output_errors(path):
            hidden.write_bytes(data)
            hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def replace_array(path: Path, array: NDArray[np.generic]) -> None:
    """The same of a .npy file."""
    stream = BytesIO()
    np.save(stream, array)
    replace_file(path, stream.getvalue())
