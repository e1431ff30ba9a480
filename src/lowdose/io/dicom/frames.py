"""Frames of a large object collected on disk, in any order, before the object is written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.rescale import StoredPixels


class FrameStore:
    """The pixels of one multi-frame object in a temporary file of ``folder``, little endian."""

    def __init__(self, folder: Path, image: SliceHeader) -> None:
        form = image.pixels
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the object that owns it
        self._dtype = np.dtype(form.dtype).newbyteorder("<")
        self._frame_bytes = form.frame_bytes
        self._missing = set(range(form.frames))

    @property
    def complete(self) -> bool:
        return not self._missing

    def put(self, frame: int, stored: StoredPixels) -> None:
        """Stores one frame, (rows, columns)."""
        self._file.seek(frame * self._frame_bytes)
        self._file.write(stored.astype(self._dtype, copy=False).tobytes())
        self._missing.discard(frame)

    def reader(self) -> BinaryIO:
        """The file at its beginning."""
        self._file.flush()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()
