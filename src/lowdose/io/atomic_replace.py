"""Replacement of one file, complete or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import OutputRefused
from lowdose.io.atomic import output_errors, temporary_path


def replace_file(path: Path, data: bytes) -> None:
    """Replace the content of a file; on failure it keeps what it held, and OutputRefused is raised.

    A pipe, a device or a folder of that name is never replaced.
    """
    if path.exists() and not path.is_file():
        raise OutputRefused(f"{path}: exists and is no regular file; choose another name")
    hidden = temporary_path(path)
    try:
        with output_errors(path):
            hidden.write_bytes(data)
            hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def replace_array(path: Path, array: NDArray[np.generic]) -> None:
    """Replace a .npy file in the same way."""
    stream = BytesIO()
    np.save(stream, array)
    replace_file(path, stream.getvalue())
