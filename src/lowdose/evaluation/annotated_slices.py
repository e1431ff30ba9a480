"""Annotated findings in the slices of pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lowdose.errors import InvalidSetting
from lowdose.io.findings.finding import Finding, Part
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.pairing import PairedSeries

Parts = dict[int, list[tuple[str, Part]]]
"""Label and part of each finding, by index of the slice at full dose."""


def annotated_slices(cases: Sequence[PairedSeries], findings: Sequence[Finding]) -> tuple[list[Parts], int]:
    """Return the findings in the pairs of each case, and how many findings lie in none.

    A finding that names slices of the low-dose series alone lies in their pairs. Raises InvalidSetting where a finding
    that names no image by UID fits slices of several patients.
    """
    marked: list[Parts] = [defaultdict(list) for _ in cases]
    left_out = 0
    for finding in findings:
        patients = set()
        for case, parts in zip(cases, marked, strict=True):
            for index, part in _in_pairs(case, finding):
                parts[index].append((finding.label, part))
                patients.add(case.patient)
        if len(patients) > 1 and not all(mark.slice.sop_uid for mark in finding.marks):
            raise InvalidSetting(
                f"--findings {finding.path}: fits slices of {len(patients)} patients, since it states no UID; give the "
                "pair that it was made for, by --low and --full"
            )
        left_out += not patients
    return [dict(parts) for parts in marked], left_out


def _in_pairs(case: PairedSeries, finding: Finding) -> list[tuple[int, Part]]:
    """Return the parts of a finding in the pairs of a case, with the index of the slice at full dose."""
    for source, places in ((case.full, {index: index for _, index in case.pairs}), (case.low, dict(case.pairs))):
        found = [
            (places[index], part)
            for placed in place_findings([finding], series_slices(source))
            for index, part in placed.parts
            if index in places
        ]
        if found:
            return found
    return []
