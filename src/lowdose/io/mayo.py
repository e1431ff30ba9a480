"""Public names of the Mayo low-dose CT cases (L067, C016, N090), found in folder names or through hashed patient IDs.

Two collections share one numbering: the AAPM Low-Dose CT Grand Challenge of 2016 and LDCT-and-Projection-data
(Moen et al., Med. Phys. 48:902, 2021; doi 10.7937/9NPB-2637). L stands for abdomen, C for chest, N for head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from lowdose.io.dicom.patients import patient_keys

CASE = re.compile(r"(?<![0-9A-Z])[CLN]\d{3}(?![0-9A-Z])", re.IGNORECASE)
"""Pattern of a case name that is not part of a longer word."""


def case_in(name: str) -> str | None:
    """Return the case that a folder name or path contains, or None: "L143-3mm-B30f" belongs to L143.

    If several are named, the last one counts.
    """
    cases = CASE.findall(name)
    return cases[-1].upper() if cases else None


def case_of(name: str, keys: Iterable[str]) -> str | None:
    """Return the case of a series by its folder name, else by the hash of its PatientID among ``keys``."""
    return case_in(name) or next((case for key in keys if (case := _cases_by_key().get(key))), None)


@cache
def case_key(case: str) -> str:
    """Return the patient key (``patient_keys``) of a case name used as PatientID.

    It identifies all series of a case as one patient's, even where their patient IDs were blanked.
    """
    (key,) = patient_keys({"PatientID": case})
    return key


@cache
def _cases_by_key() -> dict[str, str]:
    """Return the name of every possible case by its patient key."""
    names = [f"{part}{number:03d}" for part in "CLN" for number in range(1000)]
    return {case_key(name): name for name in names}
