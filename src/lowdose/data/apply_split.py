"""Selection and renumbering of the patients of a data set according to a published split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lowdose.data.pairs import PairedSlice
from lowdose.data.splits.published import Split
from lowdose.errors import InvalidSetting
from lowdose.io.messages import counted

SHOWN = 12
"""Number of case names listed in a warning; the rest are only counted."""


def apply_split(items: Sequence[PairedSlice], split: Split) -> tuple[list[PairedSlice], int, list[str]]:
    """Select the training and validation patients of a split.

    Returns (items of these patients, number of validation patients, warnings). Patients are renumbered with the
    validation patients last, where ``pairs.split_by_patient`` takes them from. A patient of whom any series is named as
    a test case is left out entirely. Raises InvalidSetting when no patient is left to train on.
    """
    cases: dict[int, set[str]] = {}
    for item in items:
        cases.setdefault(item.patient, set()).update([item.case] if item.case else [])
    sides = {patient: split.side(names) for patient, names in cases.items()}
    order = sorted((p for p, side in sides.items() if side in ("train", "validation")), key=lambda p: (sides[p], p))
    validation_count = sum(side == "validation" for side in sides.values())
    if len(order) == validation_count:
        raise InvalidSetting(
            f"--split {split.name}: none of the {counted(len(cases), 'patient')} is one it trains on; case names such "
            "as L067 are looked for in the names of folders and in PatientID"
        )
    numbers = {patient: number + 1 for number, patient in enumerate(order)}
    kept = [replace(item, patient=numbers[item.patient]) for item in items if item.patient in numbers]
    return kept, validation_count, _split_warnings(split, cases, sides)


def _split_warnings(split: Split, cases: dict[int, set[str]], sides: dict[int, str | None]) -> list[str]:
    """Report listed cases that are missing, test cases that are held out, and patients that the split does not list."""
    warnings = []
    present = set().union(*cases.values())
    for side, wanted in (("train", split.train or frozenset()), ("validation", split.validation)):
        if missing := sorted(wanted - present):
            warnings.append(
                f"{split.name}: {len(missing)} of {len(wanted)} {side} cases are not in the data: {abbreviate(missing)}"
            )
    if held_out := sorted(split.test & present):
        warnings.append(f"{split.name}: {len(held_out)} test cases are held out: {abbreviate(held_out)}")
    if unlisted := sum(side is None for side in sides.values()):
        warnings.append(f"{split.name}: left out: {counted(unlisted, 'patient')} that it does not list")
    return warnings


def abbreviate(names: Sequence[str]) -> str:
    """Join the first dozen names with commas, and add how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
