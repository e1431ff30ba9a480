"""Doubts about pairs of series: the same series twice, low and full dose exchanged, slices that are not axial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowdose.image import Slice
from lowdose.io.orientation import not_axial
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.noise_estimate import noise_level

SAMPLED = 3
"""Number of pairs of a series that are compared."""
NOISIER = 1.02
"""Least ratio of the noise of low dose to that of full dose; measuring the SD of one series twice is as close."""


def pair_warnings(cases: Sequence[PairedSeries]) -> list[str]:
    """Return a warning for each case that is not axial, or whose low dose is not noisier than its full dose."""
    warnings = []
    for case in cases:
        doubts = not_axial(case.full.planes, "models and segmenters are trained on axial slices")
        if case.low is not case.full:  # full dose without a partner
            doubts += _noise_doubts(case)
        warnings += [f"{case.name}: {text}" for text in doubts]
    return warnings


def _noise_doubts(case: PairedSeries) -> list[str]:
    chosen = [case.pairs[round(place)] for place in np.linspace(0, len(case.pairs) - 1, SAMPLED + 2)[1:-1]]
    pairs = [(case.low.read(low), case.full.read(full)) for low, full in dict.fromkeys(chosen)]
    if all(np.array_equal(low.hu, full.hu) for low, full in pairs):
        return ["low and full dose hold the same pixels: is one of them named twice?"]
    sds = [tuple(_noise_sd(item) for item in pair) for pair in pairs]
    known = [(low, full) for low, full in sds if low is not None and full is not None]
    if not known:
        return []
    low, full = np.median(known, axis=0)
    if low >= NOISIER * full:
        return []
    return [f"low dose (noise SD {low:.3g} HU) is not noisier than full dose ({full:.3g} HU): are they exchanged?"]


def _noise_sd(item: Slice) -> float | None:
    level = noise_level(item.hu, item.valid, item.mean_pixel_mm or 1.0)
    return None if level is None else level.sd
