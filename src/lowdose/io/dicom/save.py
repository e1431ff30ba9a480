"""A data set to a Part 10 file, Explicit VR Little Endian, whatever encoding it was read from."""

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


def save(header: Any, pixels: Any, path: Path) -> None:
    """Writes a header with native pixels: little-endian bytes, or a file of them.

    Raises OSError. The header's own file meta is replaced, so that a source without any is no trouble.
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
    """Turns big-endian word arrays (look-up tables, overlays) into little-endian ones, nested ones too."""
    for element in items:
        if element.VR == "SQ":
            for item in element.value:
                swap_words(item if isinstance(item, Dataset) else [])
        elif element.VR in WORD_BYTES and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, f">u{WORD_BYTES[element.VR]}").byteswap().tobytes()
