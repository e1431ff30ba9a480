"""Header values as plain Python, whatever VR a file claims for them; a value that is nonsense counts as absent."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

WORDS = {
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
}
DOUBLES = {"SpiralPitchFactor", "ExposureInmAs"}
TAGS: dict[str, BaseTag] = {}
Values = dict[str, Any]


def tags(keywords: Iterable[str]) -> list[BaseTag]:
    """The tags of DICOM keywords, looked up once."""
    for keyword in keywords:
        TAGS.setdefault(keyword, Tag(keyword))
    return [TAGS[keyword] for keyword in keywords]


def values(data: Dataset, keywords: Iterable[str]) -> Values:
    """keyword -> text, list of texts, unsigned integer (for words), double, or list of data sets; only what is there.

    Raw elements are read directly: pydicom's own conversion of some thirty of them takes longer than the pixels do,
    and stops at the first value that breaks the rules of its VR.
    """
    found: Values = {}
    for keyword in keywords:
        if TAGS[keyword] not in data:
            continue
        value = _value(data, keyword)
        if value not in (None, "", []):
            found[keyword] = value
    return found


def plain(keyword: str, raw: bytes, little: bool = True) -> Any:
    """The bytes of an element as text, several texts, an unsigned integer, or a double."""
    if keyword in DOUBLES:
        return struct.unpack("<d" if little else ">d", raw[:8])[0] if len(raw) > 7 else None
    if keyword in WORDS:
        return int.from_bytes(raw[:2], "little" if little else "big") if len(raw) > 1 else None
    parts = [part.strip("\0 ") for part in raw.decode("latin-1").split("\\")]
    return parts if len(parts) > 1 else parts[0]


def _value(data: Dataset, keyword: str) -> Any:
    try:
        element = data.get_item(TAGS[keyword])
        if isinstance(element, RawDataElement) and not keyword.endswith("Sequence"):
            return plain(keyword, element.value or b"", element.is_little_endian)
        value = data[TAGS[keyword]].value
    except Exception:  # pydicom raises whatever it likes
        return None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


def number(value: Any) -> float | None:
    """A finite number; None when there is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def numbers(value: Any, count: int) -> list[float] | None:
    """``count`` finite numbers; None when there are not so many."""
    found = [number(item) for item in value] if isinstance(value, list) else []
    return [item for item in found if item is not None] if len(found) == count and None not in found else None


def text(value: Any) -> str:
    """The first of one or several texts; '' when there is none."""
    first = value[0] if isinstance(value, list) and value else value
    return "" if first is None else str(first).strip()
