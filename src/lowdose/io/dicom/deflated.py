"""The data set of a deflated DICOM file, inflated once for header and pixels, and never beyond reason."""

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
WAY_OUT = "write it uncompressed first, for example with 'dcmconv +te'"


def deflated_from(start: bytes) -> int | None:
    """Where the deflated part of a file that starts like this begins; None when it is not deflated."""
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
    """What is deflated from a byte of a file on. Raises CannotDecode, or UnsafeArchive when it is absurdly much."""
    state = path.stat()
    return _inflate(path, at, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=1)  # header, pixels and the header once more are asked for in turn
def _inflate(path: Path, at: int, state: tuple[int, int]) -> bytes:
    budget, plain, inflater = (
        UnpackBudget(path, state[1], MAX_BYTES, WAY_OUT),
        BytesIO(),
        zlib.decompressobj(-zlib.MAX_WBITS),
    )
    try:
        with path.open("rb") as file:
            file.seek(at)
            while not inflater.eof and (packed := inflater.unconsumed_tail or file.read(CHUNK)):
                part = inflater.decompress(packed, CHUNK)
                budget.spend(len(part))
                plain.write(part)
            plain.write(inflater.flush())  # at most what one more step would have given
    except zlib.error as error:
        raise CannotDecode(f"{path}: its deflated data are damaged ({error}); copy or export it again") from error
    if not inflater.eof:
        raise CannotDecode(f"{path}: truncated inside its deflated data; copy or export this file again")
    return plain.getvalue()


def plain_file(path: Path) -> BytesIO | None:
    """A deflated file's data set as a file of its own; None when the file is not deflated."""
    with path.open("rb") as file:
        at = deflated_from(file.read(CHUNK))
    return None if at is None else BytesIO(inflate(path, at))
