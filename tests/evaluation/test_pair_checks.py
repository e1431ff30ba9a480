"""Pairs of which something is wrong: one series twice, doses exchanged, slices that are not axial."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

import lowdose
from lowdose.evaluation.pair_checks import pair_warnings
from lowdose.image import Geometry
from lowdose.io.pairing import open_pairs, pair_sources
from lowdose.volume_source import VolumeSource
from support.ct_pair import CTPair


@pytest.mark.parametrize(
    ("low", "full", "told"),
    [("quarter", "full", None), ("full", "quarter", "is not noisier"), ("full", "full", "hold the same pixels")],
)
def test_low_dose_is_noisier(ct_pair: CTPair, low: str, full: str, told: str | None) -> None:
    with ExitStack() as stack:
        cases = open_pairs(stack, [("case", getattr(ct_pair, low), getattr(ct_pair, full))])
        warnings = pair_warnings(cases)
    assert len(warnings) == (0 if told is None else 1)
    assert all(text.startswith("case: ") and (told or "") in text for text in warnings)


def test_full_dose_alone_has_no_partner_to_be_compared_with(ct_pair: CTPair) -> None:
    source = VolumeSource(lowdose.read(ct_pair.full))
    assert pair_warnings(pair_sources([("", source, source)])) == []


def test_sagittal_slices_are_told(ct_pair: CTPair) -> None:
    sagittal = Geometry((3.0, 1.0, 1.0), direction=((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    low, full = (
        VolumeSource(lowdose.Volume(lowdose.read(path).hu, sagittal)) for path in (ct_pair.quarter, ct_pair.full)
    )
    (told,) = pair_warnings(pair_sources([("case", low, full)]))
    assert "the slices are sagittal, not axial" in told


def test_the_report_says_it(short_pair: CTPair, tmp_path: Path) -> None:
    report = lowdose.evaluate(short_pair.full, short_pair.full, model="gaussian", out=tmp_path / "out")
    assert any("hold the same pixels" in text for text in report.result.warnings)
    assert "hold the same pixels" in (tmp_path / "out" / "index.html").read_text()
