"""Photon counts: the mean of the logarithm, and the count floor that real scanners show."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.physics.photon_counts import draw_counts, floor_offset


@pytest.mark.parametrize("electronic", [0.0, 10.0])
@pytest.mark.parametrize("floor", [1e-6, 12.0])
@pytest.mark.parametrize("count", [0.5, 3.0, 10.0, 40.0, 150.0, 395.0, 405.0, 3000.0])
def test_the_mean_line_integral_is_that_of_a_smooth_floor(electronic: float, floor: float, count: float) -> None:
    air, dose = 1e4, 0.25
    low, _ = draw_counts(np.full(200_000, count / dose), np.full(1, air), dose, electronic, np.random.default_rng(0))
    offset = floor_offset(np.array([count]), electronic, floor)
    expected = np.log(dose * air / np.hypot(count, floor))
    assert (low + offset).mean() == pytest.approx(expected, abs=5 * low.std() / np.sqrt(low.size) + 0.004)


def test_the_floor_acts_with_the_square_of_the_count_and_levels_off() -> None:
    counts = np.array([0.01, 1.0, 200.0, 400.0])
    change = floor_offset(counts, 10.0, 12.0) - floor_offset(counts, 10.0, 1e-9)
    assert change[2] / change[3] == pytest.approx(4, rel=0.01)
    assert change[3] == pytest.approx(-0.5 * (12 / 400) ** 2, rel=0.01)
    assert change[1] == pytest.approx(-np.log(12), abs=0.01)
