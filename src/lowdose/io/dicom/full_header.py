"""Whole header of a source, read a second time to be written again, with value representations that DICOM knows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import STANDARD_VR

from lowdose.errors import CannotDecode
from lowdose.io.dicom.open_file import read_data
from lowdose.io.dicom.values import tags
from lowdose.io.messages import reason

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
"""Where enhanced objects state what holds for their frames."""
GROUP_TAGS = [int(tag) for tag in tags(GROUPS)]


def read_full_header(path: Path) -> Any:
    """Read a source's whole header without its pixels; raise CannotDecode when the file is gone."""
    try:
        with path.open("rb") as file:
            header = read_data(path, file)[0]
    except OSError as error:
        raise CannotDecode(f"{path}: cannot be read a second time ({reason(error)})") from error
    correct_representations(header)
    return header


def correct_representations(header: Any, within: Collection[int] | None = GROUP_TAGS) -> None:
    """Give elements with a value representation that DICOM does not know that of their tag, or UN (unknown).

    ``within``: sequences whose items are corrected too, None for all of them.
    """
    for tag in list(header.keys()):
        element = header.get_item(tag)
        if element.VR == "SQ" and (within is None or tag in within):
            for item in header[tag].value:
                correct_representations(item, None)
        if isinstance(element, RawDataElement) and element.VR is not None and element.VR not in STANDARD_VR:
            known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
            header[tag] = element._replace(VR=known if known in STANDARD_VR else "UN")
