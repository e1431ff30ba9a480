"""Annotated findings in the slices of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lowdose.io.findings.finding import Findings, Part
from lowdose.io.findings.patients import PatientSlice, PatientSlices
from lowdose.io.findings.placement import SlicePlace, series_slices
from lowdose.io.pairing import PairedSeries

LabelledParts = Mapping[int, Sequence[tuple[str, Part]]]
"""Label and part of each finding, by index of the slice at full dose."""


def annotated_slices(cases: Sequence[PairedSeries], found: Findings) -> tuple[list[LabelledParts], list[str]]:
    """Return the findings in the pairs of each case, and what was left out, without the names of files.

    Raises what ``PatientSlices.place`` raises.
    """
    slices, indices = list[PatientSlice](), list[tuple[int, int]]()
    for number, case in enumerate(cases):
        full, low = series_slices(case.full), series_slices(case.low)
        slices += [PatientSlice(case.patient, (SlicePlace(full, j), SlicePlace(low, i))) for i, j in case.pairs]
        indices += [(number, j) for _, j in case.pairs]
    marked: list[dict[int, list[tuple[str, Part]]]] = [{} for _ in cases]
    placed, left_out = PatientSlices(slices).place(found)
    for finding, parts in placed:
        for place, own in parts.items():
            number, index = indices[place]
            marked[number].setdefault(index, []).extend((finding.label, part) for part in own)
    return list(marked), [f"findings: {each.reason} (left out)" for each in left_out]
