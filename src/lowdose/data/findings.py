"""Boxes of annotated findings on the slices of a training set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lowdose.boxes import Box
from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting
from lowdose.io.findings.finding import Findings
from lowdose.io.findings.patients import PatientSlice, PatientSlices


def with_findings(
    items: Sequence[PairedSlice], files: Sequence[Findings]
) -> tuple[list[PairedSlice], tuple[str, ...], list[str]]:
    """Give slices the boxes of findings (``io.findings.patients``).

    Returns (slices with boxes; what the labels of the boxes mean, from 1; warnings). Raises InvalidSetting when slices
    come from a pack, which does not say which files they were, and what ``PatientSlices.place`` raises.
    """
    if any(not item.places for item in items):
        raise InvalidSetting(
            "--findings: packs do not say which files their slices come from, so findings cannot be placed in them; "
            "give the folders that were packed with --data"
        )
    slices = PatientSlices([PatientSlice(item.patient, item.places) for item in items])
    boxes: dict[int, list[tuple[Box, str]]] = defaultdict(list)
    warnings: list[str] = []
    for found in files:
        placed, left_out = slices.place(found)
        warnings += map(str, left_out)
        for finding, parts in placed:
            for index, own in parts.items():
                boxes[index] += [(part.box, finding.label) for part in own]
    labels = tuple(sorted({label for own in boxes.values() for _, label in own}))
    numbers = {label: number for number, label in enumerate(labels, 1)}
    marked = [
        replace(item, boxes=(*item.boxes, *((box, numbers[label]) for box, label in boxes[index])))
        if index in boxes
        else item
        for index, item in enumerate(items)
    ]
    return marked, labels, warnings
