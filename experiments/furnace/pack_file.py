"""A pack of one dose as one small file: a zip of its table and of lossless JPEG 2000 images, which Pillow reads.

A pack takes 512 KiB a slice, since training maps it into memory; this file takes about 150 KiB, and reading it needs
neither pydicom nor a DICOM codec.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lowdose.data.pack.index import TABLE, array_name, read_table
from lowdose.data.pack.reader import Pack
from lowdose.errors import IncompatiblePack
from lowdose.io.atomic import new_folder
from lowdose.io.atomic_replace import replace_file

OFFSET = 32768
"""Added to HU, since JPEG 2000 images of 16 bits hold no negative values here."""
ROLE = "full"


def write_pack_file(pack: Path, target: Path) -> int:
    """Write the pack of single slices as one file and return its size in bytes."""
    opened, content = Pack(pack), io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(TABLE), (pack / TABLE).read_bytes(), zipfile.ZIP_DEFLATED)
        for index in range(len(opened.slices)):
            archive.writestr(zipfile.ZipInfo(_member(index)), _encode(opened.image(ROLE, index)))
    replace_file(target, content.getvalue())
    return len(content.getvalue())


def read_pack_file(source: Path, pack: Path) -> None:
    """Write the pack that a file holds into the new folder ``pack``; raises IncompatiblePack when it is damaged."""
    try:
        _unpack(source, pack)
    except (zipfile.BadZipFile, KeyError, UnidentifiedImageError) as error:
        raise IncompatiblePack(f"{source}: is damaged ({error}); copy it again") from error


def _unpack(source: Path, pack: Path) -> None:
    with new_folder(pack) as folder, zipfile.ZipFile(source) as archive:
        (folder / TABLE).write_bytes(archive.read(TABLE))
        rows = _read_rows(folder)
        images: dict[str, dict[int, NDArray[np.int16]]] = {}
        for index, (name, row) in enumerate(rows):
            images.setdefault(name, {})[row] = _decode(archive.read(_member(index)))
        for name, by_row in images.items():
            np.save(folder / name, np.stack([by_row[row] for row in range(len(by_row))]))
        damaged = list(Pack(folder).damaged())
        if damaged:
            raise IncompatiblePack(f"{source}: is damaged ({damaged[0]}); copy it again")


def _read_rows(folder: Path) -> list[tuple[str, int]]:
    return [(array_name(ROLE, row.shape), row.row) for row in read_table(folder)[1]]


def _member(index: int) -> str:
    return f"{index:04d}.jp2"


def _encode(hu: NDArray[np.int16]) -> bytes:
    data = io.BytesIO()
    Image.fromarray((hu.astype(np.int32) + OFFSET).astype(np.uint16)).save(data, "JPEG2000", irreversible=False)
    return data.getvalue()


def _decode(data: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(data)) as image:
        return (np.asarray(image).astype(np.int32) - OFFSET).astype("<i2")
