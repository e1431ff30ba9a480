"""Writing of a data set to a DICOM file in Explicit VR Little Endian, whatever encoding it was read from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import DataElement, Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

PIXEL_DATA = Tag("PixelData")
WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
"""Bytes per number of the value representations that hold arrays."""


def save(header: Any, pixels: Any, path: Path) -> None:
    """Write a header with native pixels, given as little-endian bytes or as a file of them.

    The file meta information is replaced, so the source need not have any. Raises OSError.
    """
    if not header.original_encoding[1] and header.original_encoding[1] is not None:
        swap_words(header)
    wide = header.BitsAllocated > 8
    header[PIXEL_DATA] = DataElement(PIXEL_DATA, "OW" if wide else "OB", pixels)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta = meta
    header.preamble = None
    dcmwrite(path, header, enforce_file_format=True, overwrite=False)


def swap_words(items: Iterable[Any]) -> None:
    """Convert big-endian arrays (look-up tables, overlays) to little endian, nested ones included."""
    for element in items:
        if element.VR == "SQ":
            for item in element.value:
                swap_words(item if isinstance(item, Dataset) else [])
        elif element.VR in WORD_BYTES and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, f">u{WORD_BYTES[element.VR]}").byteswap().tobytes()
