"""Temporary store for the frames of a multi-frame object, which arrive in any order before it is written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.rescale import StoredPixels


class FrameStore:
    """Pixels of one multi-frame object in a temporary file in ``folder``, little endian."""

    def __init__(self, folder: Path, image: SliceHeader) -> None:
        form = image.pixels
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - stays open until ``close``
        self._dtype = np.dtype(form.dtype).newbyteorder("<")
        self._frame_bytes = form.frame_bytes
        self._missing = set(range(form.frames))

    @property
    def complete(self) -> bool:
        """Whether all frames have been stored."""
        return not self._missing

    def put(self, frame: int, stored: StoredPixels) -> None:
        """Store one frame, (rows, columns)."""
        self._file.seek(frame * self._frame_bytes)
        self._file.write(stored.astype(self._dtype, copy=False).tobytes())
        self._missing.discard(frame)

    def reader(self) -> BinaryIO:
        """Return the file, positioned at its beginning."""
        self._file.flush()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Close and delete the file."""
        self._file.close()
