"""Annotated findings in pairs: by the slice at full dose, whichever dose they name, and only those slices are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowdose.boxes import Box
from lowdose.evaluation.annotated_slices import annotated_slices
from lowdose.evaluation.images import FULL
from lowdose.evaluation.lesions import LesionSettings, evaluate_lesions
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.regions import PictureBox
from lowdose.io.source import Plane
from support.evaluation_cases import Series, case

BOX: Box = (20.0, 22.0, 30.0, 34.0)


def stack(count: int) -> Series:
    """Slices that lie nowhere, so that a mask of as many slices is drawn on them."""
    return Series(np.random.default_rng(0).normal(40, 5, (count, 60, 60)))


def on_slice(index: int, count: int) -> Findings:
    mark = Mark(SliceName(index=index, count=count, plane=Plane((60, 60))), PictureBox(BOX))
    path = Path("secret/a.json")
    return Findings(path, [Finding("cyst", (mark,), path)], [LeftOut(path, "1 possibly noisy rows")])


def test_a_finding_of_either_dose_lies_in_the_pair() -> None:
    pair = case(stack(4), stack(3), pairs=[(1, 0), (2, 1), (3, 2)])
    for found, index in ((on_slice(2, 3), 2), (on_slice(2, 4), 1)):
        (marked,), warnings = annotated_slices([pair], found)
        assert {at: [(label, part.box) for label, part in parts] for at, parts in marked.items()} == {
            index: [("cyst", BOX)]
        }
        assert warnings == ["findings: 1 possibly noisy rows (left out)"]  # a report names no folder


def test_only_slices_with_a_finding_are_read() -> None:
    low, full, other = stack(5), stack(5), stack(2)
    done: list[int] = []
    cases = [case(other, other), case(low, full)]
    found = evaluate_lesions(cases, [], LesionSettings(findings=on_slice(3, 5)), 1.0, done.append)
    assert [(row.slice_, row.lesion.box) for row in found.of_image(FULL)] == [(3, BOX)]
    assert (low.reads, full.reads, other.reads) == ([3], [3], [])
    assert done == list(range(1, 8))
