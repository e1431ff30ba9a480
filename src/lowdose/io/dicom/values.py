"""Header values as plain Python objects, whatever VR a file claims; invalid values count as absent."""

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
"""Attributes that hold an unsigned 16-bit integer."""
DOUBLES = {"SpiralPitchFactor", "ExposureInmAs"}
"""Attributes that hold a double."""
TAGS: dict[str, BaseTag] = {}
"""Tags by keyword, filled by ``tags``."""
Values = dict[str, Any]
"""Values of attributes by keyword."""


def tags(keywords: Iterable[str]) -> list[BaseTag]:
    """Return the tags of DICOM keywords; each is looked up once."""
    for keyword in keywords:
        TAGS.setdefault(keyword, Tag(keyword))
    return [TAGS[keyword] for keyword in keywords]


def values(data: Dataset, keywords: Iterable[str]) -> Values:
    """Return the values that a data set holds, by keyword; absent and empty ones are left out.

    A value is a text, a list of texts, an unsigned integer (WORDS), a double (DOUBLES) or a list of data sets. Raw
    elements are decoded here: pydicom takes longer to convert some thirty of them than to read the pixels, and stops at
    the first value that breaks the rules of its VR.
    """
    result: Values = {}
    for keyword in keywords:
        if TAGS[keyword] not in data:
            continue
        value = _value(data, keyword)
        if value not in (None, "", []):
            result[keyword] = value
    return result


def plain(keyword: str, raw: bytes, little: bool = True) -> Any:
    """Decode the bytes of an element to a text, a list of texts, an unsigned integer or a double."""
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
    except Exception:  # pydicom raises errors of many types
        return None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


def number(value: Any) -> float | None:
    """Return a finite number, or None when the value is not one."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def numbers(value: Any, count: int) -> list[float] | None:
    """Return ``count`` finite numbers, or None when the value does not hold exactly so many."""
    finite = [number(item) for item in value] if isinstance(value, list) else []
    return [item for item in finite if item is not None] if len(finite) == count and None not in finite else None


def text(value: Any) -> str:
    """Return the first of one or several texts, or "" when there is none."""
    first = value[0] if isinstance(value, list) and value else value
    return "" if first is None else str(first).strip()
