"""The public names of the Mayo low-dose CT cases (L067, C016, N090), found in folder names or behind hashed IDs.

Two collections share one numbering: the AAPM Low-Dose CT Grand Challenge of 2016 and LDCT-and-Projection-data
(Moen et al., Med. Phys. 48:902, 2021; doi 10.7937/9NPB-2637). L is abdomen, C chest, N head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydicom import dcmread

from lowdose.io.dicom.patients import patient_keys
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings

CASE = re.compile(r"(?<![0-9A-Z])[CLN]\d{3}(?![0-9A-Z])", re.IGNORECASE)
PROJECTION_GROUP = 0x7031
"""Private group of the scan geometry in DICOM-CT-PD (Chen et al., Med. Phys. 42:6964, 2015)."""


def case_in(name: str) -> str | None:
    """The case that a folder name or a path names: 'L143-3mm-B30f' is of L143. The last one counts; None = none."""
    found = CASE.findall(name)
    return found[-1].upper() if found else None


def case_of(name: str, keys: Iterable[str]) -> str | None:
    """The case of a series by its place ``name``, else by the hash of its PatientID among ``keys``."""
    return case_in(name) or next((case for key in keys if (case := _cases_by_key().get(key))), None)


@cache
def case_key(case: str) -> str:
    """What ``patient_keys`` makes of a case's name as PatientID: joins its series even where their IDs are blanked."""
    (key,) = patient_keys({"PatientID": case})
    return key


@cache
def _cases_by_key() -> dict[str, str]:
    names = [f"{part}{number:03d}" for part in "CLN" for number in range(1000)]
    return {case_key(name): name for name in names}


def is_projection(path: Path) -> bool:
    """Whether a readable DICOM file holds projection data (DICOM-CT-PD): it calls itself a CT image, and is none."""
    try:
        with suppress_pydicom_warnings():
            header = dcmread(path, stop_before_pixels=True)
    except Exception:  # pydicom raises whatever it likes; such a file is told of by the reader
        return False
    return any(tag.group == PROJECTION_GROUP for tag in header.keys())  # noqa: SIM118 (keys are tags, items elements)
