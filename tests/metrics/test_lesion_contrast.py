"""Contrast kept of a lesion: a known share within its core, whatever lies around."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.lesion_contrast import contrast_kept, lesion_core

SHAPE = (64, 64)
AWAY = np.hypot(*np.meshgrid(np.arange(64) - 30, np.arange(64) - 34, indexing="ij"))


def test_the_core_is_a_disc_of_three_fifths_of_the_radius() -> None:
    assert np.array_equal(lesion_core(SHAPE, (30, 34), 20.0), AWAY <= 6.0)
    assert np.array_equal(lesion_core(SHAPE, (30, 34), 0.5), AWAY <= 1.0)


def test_what_counts_is_the_share_within_the_core() -> None:
    core = lesion_core(SHAPE, (30, 34), 20.0)
    added = np.where(AWAY <= 10, -20.0 - np.arange(64), 0.0)
    assert contrast_kept(0.7 * added + np.where(core, 0, 99), added, core) == pytest.approx(0.7)
    assert contrast_kept(added, added, core) == 1.0
    assert contrast_kept(np.zeros(SHAPE), added, core) == 0.0
    assert contrast_kept(-added, added, core) == -1.0


def test_a_blur_keeps_what_its_kernel_leaves_at_the_centre() -> None:
    """A Gaussian of SD s keeps w^2 / (w^2 + s^2) of the peak of a Gaussian lesion of SD w."""
    added = -30.0 * np.exp(-(AWAY**2) / (2 * 3.0**2))
    kept = contrast_kept(gaussian_filter(added, 4.0), added, AWAY == 0)
    assert kept == pytest.approx(9 / (9 + 16), rel=0.01)


def test_shapes_that_differ_and_lesions_that_add_nothing_are_refused() -> None:
    with pytest.raises(GeometryMismatch, match=r"\(4, 4\).*\(4, 5\)"):
        contrast_kept(np.zeros((4, 4)), np.ones((4, 5)), np.ones((4, 4), bool))
    with pytest.raises(InvalidSetting, match="adds 0 HU"):
        contrast_kept(np.ones((4, 4)), np.zeros((4, 4)), np.ones((4, 4), bool))
