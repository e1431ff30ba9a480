"""Header values as numbers and texts, without pydicom; invalid values count as absent."""

from __future__ import annotations

import math
import struct
from typing import Any

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
HIGHEST_INTEGER = (1 << 31) - 1
"""Largest number, of either sign, that DICOM's value representation IS holds."""
Values = dict[str, Any]
"""Values of attributes by keyword."""


def plain(keyword: str, raw: bytes, little: bool = True) -> Any:
    """Decode the bytes of an element to a text, a list of texts, an unsigned integer or a double."""
    if keyword in DOUBLES:
        return struct.unpack("<d" if little else ">d", raw[:8])[0] if len(raw) > 7 else None
    if keyword in WORDS:
        return int.from_bytes(raw[:2], "little" if little else "big") if len(raw) > 1 else None
    parts = [part.strip("\0 ") for part in raw.decode("latin-1").split("\\")]
    return parts if len(parts) > 1 else parts[0]


def number(value: Any) -> float | None:
    """Return a finite number, or None when the value is not one. Equal values repeated count as one."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        value = value[0]
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def integer(value: Any) -> int | None:
    """Return a whole number that the value representation IS can hold, or None when the value is not one."""
    result = number(value)
    return None if result is None or abs(result) > HIGHEST_INTEGER else int(result)


def numbers(value: Any, count: int) -> list[float] | None:
    """Return ``count`` finite numbers, or None when the value does not hold exactly so many."""
    finite = [number(item) for item in value] if isinstance(value, list) else []
    return [item for item in finite if item is not None] if len(finite) == count and None not in finite else None


def text(value: Any) -> str:
    """Return the first of one or several texts, or "" when there is none."""
    first = value[0] if isinstance(value, list) and value else value
    return "" if first is None else str(first).strip()
