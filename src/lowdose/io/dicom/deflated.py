"""Deflated DICOM files: the data set is inflated once for header and pixels, up to a limit of size."""

from __future__ import annotations

import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian

from lowdose.errors import CannotDecode
from lowdose.io.dicom.fast_header import SYNTAX, NeedsFullParser, parse_element
from lowdose.io.zip_files import CHUNK, UnpackBudget

MAX_BYTES = 1 << 30
"""Limit of the inflated size, in bytes."""
WAY_OUT = "write it uncompressed first, for example with 'dcmconv +te'"


def deflated_from(start: bytes) -> int | None:
    """Return the byte at which the deflated part of a file begins, given the file's first bytes.

    None when the file is not deflated.
    """
    if start[128:132] != b"DICM":
        return None
    at, deflated = 132, False
    try:
        while start[at : at + 2] == b"\x02\x00":
            tag, value, length = parse_element(start, at, implicit=False)
            at = value + length
            deflated |= tag == SYNTAX and start[value:at].strip(b"\0 ") == DeflatedExplicitVRLittleEndian.encode()
    except NeedsFullParser:
        return None
    return at if deflated else None


def inflate(path: Path, at: int) -> bytes:
    """Return the inflated content of a file from byte ``at`` on.

    Raises CannotDecode when it is damaged, and UnsafeZip when it inflates to an absurd size.
    """
    status = path.stat()
    return _inflate(path, at, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=1)  # a file's header, pixels and full header are read one after another
def _inflate(path: Path, at: int, modified_and_size: tuple[int, int]) -> bytes:
    budget, inflated, inflater = (
        UnpackBudget(path, modified_and_size[1], MAX_BYTES, WAY_OUT),
        BytesIO(),
        zlib.decompressobj(-zlib.MAX_WBITS),
    )
    try:
        with path.open("rb") as file:
            file.seek(at)
            while not inflater.eof and (packed := inflater.unconsumed_tail or file.read(CHUNK)):
                chunk = inflater.decompress(packed, CHUNK)
                budget.spend(len(chunk))
                inflated.write(chunk)
            inflated.write(inflater.flush())  # bounded: at most what one further step would return
    except zlib.error as error:
        raise CannotDecode(f"{path}: its deflated data are damaged ({error}); copy or export it again") from error
    if not inflater.eof:
        raise CannotDecode(f"{path}: truncated inside its deflated data; copy or export this file again")
    return inflated.getvalue()


def plain_file(path: Path) -> BytesIO | None:
    """Return a deflated file's data set as an in-memory file, or None when the file is not deflated."""
    with path.open("rb") as file:
        at = deflated_from(file.read(CHUNK))
    return None if at is None else BytesIO(inflate(path, at))
