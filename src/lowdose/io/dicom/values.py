"""Values of pydicom data sets as plain Python objects, whatever VR a file claims; invalid values count as absent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from lowdose.io.dicom.plain_values import Values, plain

TAGS: dict[str, BaseTag] = {}
"""Tags by keyword, filled by ``tags``."""


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


def _value(data: Dataset, keyword: str) -> Any:
    try:
        element = data.get_item(TAGS[keyword])
        if isinstance(element, RawDataElement) and not keyword.endswith("Sequence"):
            return plain(keyword, element.value or b"", element.is_little_endian)
        value = data[TAGS[keyword]].value
    except Exception:  # pydicom raises errors of many types
        return None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value
