"""Co-occurrence features against the sums that define them, and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.hounsfield import Window
from lowdose.metrics.glcm_texture import co_occurrence

GREY = Window(0.0, 255.0)


def slow(grey: NDArray[np.int64]) -> tuple[float, float, float]:
    """Features of all pairs of neighbours, angle by angle (Haralick 1973)."""
    per_angle = []
    for down, right in ((0, 1), (-1, 1), (-1, 0), (-1, -1)):
        pairs = [
            (grey[y, x], grey[y + down, x + right])
            for y in range(grey.shape[0]) for x in range(grey.shape[1])
            if 0 <= y + down < grey.shape[0] and 0 <= x + right < grey.shape[1]
        ]  # fmt: skip
        both = np.array(pairs + [(b, a) for a, b in pairs], float)
        shares = np.unique(both, axis=0, return_counts=True)[1] / len(both)
        homogeneity = (1 / (1 + (both[:, 0] - both[:, 1]) ** 2)).mean()
        per_angle.append((np.corrcoef(both.T)[0, 1], homogeneity, np.sqrt((shares**2).sum())))
    correlation, homogeneity, energy = np.mean(per_angle, axis=0)
    return float(correlation), float(homogeneity), float(energy)


def test_features_are_the_sums_that_define_them() -> None:
    grey = np.random.default_rng(0).integers(0, 6, (9, 7)) * 20
    assert co_occurrence(grey, GREY) == pytest.approx(slow(grey))


def test_noise_lowers_homogeneity_and_energy() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 40))
    calm, loud = co_occurrence(50 + 5 * noise), co_occurrence(50 + 30 * noise)
    assert calm.homogeneity > loud.homogeneity
    assert calm.energy > loud.energy
    assert co_occurrence(np.full((5, 5), 30.0)) == (1, 1, 1)


def test_a_region_without_pairs_is_refused() -> None:
    with pytest.raises(GeometryMismatch, match=r"region of shape \(1, 8\)"):
        co_occurrence(np.zeros((1, 8)))
