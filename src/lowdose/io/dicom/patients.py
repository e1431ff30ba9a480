"""Recognition of series of one patient by hashes of header values; identities are never kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lowdose.io.dicom.plain_values import Values, text

GENERIC = {"", "anonymous", "anonymized", "anonymised", "anon", "unknown", "none", "patient", "phantom", "test", "noid"}
"""Patient IDs that anonymisers give to everyone."""
PATIENT_LENGTH = 16
"""Digits of the hash by which the patients of one series are compared."""


def patient_keys(header: Values) -> frozenset[str]:
    """Return the SHA-256 of every header value that only images of one patient share.

    These are the study, the frame of reference, the patient ID and the acquisition time. The time counts because
    simulated low-dose series get new UIDs and an anonymous name, but keep the time of the scan. A time in whole seconds
    does not count, because anonymisers write it as a constant.
    """
    keys = [
        ("study", str(header.get("StudyInstanceUID") or "")),
        ("frame", str(header.get("FrameOfReferenceUID") or "")),
    ]
    patient = text(header.get("PatientID"))
    if not is_generic(patient):
        keys.append(("PatientID", patient))
    date, time = text(header.get("StudyDate")), text(header.get("StudyTime"))
    if date and time.partition(".")[2].strip("0 "):
        keys.append(("StudyTime", f"{date} {time.rstrip('0 ')}"))
    return frozenset(hashlib.sha256(f"{kind}:{value}".encode()).hexdigest() for kind, value in keys if value)


def patient_of(header: Values) -> str:
    """Return a hash of the patient ID, of the name where there is no ID or one given to everyone; '' for neither."""
    number, name = (text(header.get(keyword)).casefold() for keyword in ("PatientID", "PatientName"))
    who = next((who for who in (number, name.strip("^ ")) if not is_generic(who)), number)
    return hashlib.sha256(f"patient:{who}".encode()).hexdigest()[:PATIENT_LENGTH] if who else ""


def is_generic(patient: str) -> bool:
    """Return whether a patient ID is a placeholder that several patients may share."""
    letters = "".join(c for c in patient.lower() if c.isalnum()).strip("0")
    return letters in GENERIC or letters in {"1", "x", "xx", "xxx", "na"}


def are_strangers(one: object, other: object) -> bool:
    """Return whether both series identify their patient (``patient_keys``) and have no key in common."""
    ours, theirs = _keys(one), _keys(other)
    return bool(ours and theirs) and ours.isdisjoint(theirs)


def _keys(source: object) -> frozenset[str]:
    return frozenset(getattr(source, "patient_keys", ()))


def number_patients(sources: Sequence[object]) -> list[int]:
    """Return a patient number per source, from 0 in order of appearance.

    Sources that share a key belong to one patient. A source without keys (NIfTI, NumPy) is a patient of its own.
    """
    parent = list(range(len(sources)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, source in enumerate(sources):
        for key in _keys(source):
            parent[root(i)] = root(first.setdefault(key, i))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(sources))]
