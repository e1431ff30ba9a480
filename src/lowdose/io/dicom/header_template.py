"""Encoded header of one derived image, from which those of further images of its series are made.

Images of a series share most of their header. What differs is read and written by pydicom, as a whole header is; the
rest is copied as bytes.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from lowdose.errors import CannotDecode
from lowdose.io.dicom.derivation import OVERWRITTEN, READ, UIDS
from lowdose.io.dicom.fast_header import PIXELS, NeedsFullParser, element_spans
from lowdose.io.dicom.pixel_attributes import EXTREMES, STATED
from lowdose.io.dicom.values import tags
from lowdose.io.messages import reason

PREAMBLE = bytes(128) + b"DICM"
END = b"\xe0\x7f\x10\x00OW\0\0\0\0\0\0"
"""Pixel element without pixels, at which the splitting of a header ends."""
FILE_META = 0x0002FFFF
META_LENGTH, META_CLASS, META_INSTANCE = 0x00020000, 0x00020002, 0x00020003


def _numbers(*keywords: str) -> set[int]:
    return {int(tag) for tag in tags(keywords)}


(INSTANCE,) = _numbers("SOPInstanceUID")
RENEWED = _numbers(*UIDS, *EXTREMES, "SourceImageSequence")
"""Elements that are made anew for each image."""
IN_COMMON = {META_CLASS} | _numbers(*READ.split(), *STATED.split())
"""Elements that others depend on; images in which these differ need a template each."""
NOT_COPIED = RENEWED | IN_COMMON | _numbers(*OVERWRITTEN.split())
CONTEXT = _numbers(*UIDS, *EXTREMES, "SpecificCharacterSet", "SOPClassUID", "PixelRepresentation")
"""Elements that it takes to read and renew others."""


def is_creator(tag: int) -> bool:
    """Return whether an element says whose the private elements of its group are."""
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


@dataclass(frozen=True, slots=True)
class EncodedHeader:
    """Elements of a file from the file meta information to the head of the pixel data.

    Attributes
    ----------
    tags : tuple of int
        Tags of the elements, in order.
    elements : tuple of bytes
        The elements as they are encoded.
    """

    tags: tuple[int, ...]
    elements: tuple[bytes, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; raise NeedsFullParser for one that is not ordinary, CannotDecode when it is gone."""
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return cls.split(data)
        except OSError as error:
            raise CannotDecode(f"{path}: cannot be read a second time ({reason(error)})") from error
        except (ValueError, IndexError) as error:  # an empty file cannot be mapped
            raise NeedsFullParser from error

    @classmethod
    def split(cls, data: mmap.mmap | bytes) -> Self:
        """Split an encoded file."""
        if data[: len(PREAMBLE)][-4:] != b"DICM":
            raise NeedsFullParser
        spans = [(tag, data[at:end]) for tag, at, _, end in element_spans(data)]
        return cls(tuple(tag for tag, _ in spans), tuple(element for _, element in spans))

    @property
    def kind(self) -> tuple[object, ...]:
        """What headers have in common that are made from one template."""
        pairs = zip(self.tags, self.elements, strict=True)
        return self.tags, *(element for tag, element in pairs if tag in IN_COMMON or is_creator(tag))


class HeaderTemplate:
    """Header of a derived image, and of its source, for other sources of the same kind (``EncodedHeader.kind``)."""

    def __init__(self, source: EncodedHeader, derived: EncodedHeader) -> None:
        self._source = source.elements
        self._derived = dict(zip(derived.tags, derived.elements, strict=True))
        places = list(enumerate(source.tags))
        self._copied = [
            place
            for place, tag in places
            if FILE_META < tag < PIXELS and tag in self._derived and tag not in NOT_COPIED and not is_creator(tag)
        ]
        self._context = {place for place, tag in places if tag <= FILE_META or tag in CONTEXT or is_creator(tag)}

    def fill(self, source: EncodedHeader, renew: Callable[[Any], bool]) -> bytes | None:
        """Return the encoded header for another source, up to the pixels.

        renew: gives a header, of which it gets the part that differs, what is new in this image; where it returns
        False, the result is None.
        """
        differing = [place for place in self._copied if source.elements[place] != self._source[place]]
        part = b"".join(source.elements[place] for place in sorted(self._context.union(differing)))
        header = dcmread(BytesIO(PREAMBLE + part), force=True)
        if not renew(header):
            return None
        wanted = RENEWED.union(source.tags[place] for place in differing)
        fresh = {tag: element for tag, element in _encode(header).items() if tag in wanted}
        if any(source.tags[place] not in fresh for place in differing):
            return None
        return _join({**self._derived, **fresh})


def _encode(header: Any) -> dict[int, bytes]:
    """Return the elements of a data set, as a file in Explicit VR Little Endian holds them."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, header)
    data = buffer.getvalue() + END
    return {tag: data[at:end] for tag, at, _, end in element_spans(data, 0)}


def _join(elements: dict[int, bytes]) -> bytes:
    """Return a file up to its pixels; its file meta information states the UID of the data set."""
    elements[META_INSTANCE] = b"\x02\x00\x03\x00" + elements[INSTANCE][4:]
    length = sum(len(element) for tag, element in elements.items() if META_LENGTH < tag <= FILE_META)
    elements[META_LENGTH] = elements[META_LENGTH][:-4] + length.to_bytes(4, "little")
    return PREAMBLE + b"".join(elements[tag] for tag in sorted(elements))
