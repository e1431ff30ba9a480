"""Places in the body: lengths of rays, mirroring, and independence of the pixel size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import zoom

from lowdose.training.learned_noise.conditions import (
    CONDITIONS,
    LEVEL_HU,
    PER_MM,
    SECTORS,
    at_pixels,
    mirrored,
    noise_conditions,
    resampled,
)
from support.noisy_series import disc


def test_a_round_body_has_its_diameter_in_all_sectors_in_the_middle() -> None:
    y, x = np.mgrid[:129, :129] - 64
    water = np.where(np.hypot(y, x) * 2.0 < 100, 0.0, -1000.0).astype(np.float32)
    maps = noise_conditions(water, 2.0)
    height, width = maps.shape[1:]
    middle = maps[:, height // 2, width // 2]
    assert maps.shape[0] == CONDITIONS
    assert middle[1 : 1 + SECTORS] / PER_MM == pytest.approx(200, abs=10)
    assert middle[0] == pytest.approx(0, abs=0.01)
    assert maps[1, 0, 0] < 0.3 * middle[1]  # most of the rays through a corner meet nothing


def test_long_rays_are_along_the_rows_of_a_wide_body() -> None:
    maps = noise_conditions(disc(), 1.5)
    height, width = maps.shape[1:]
    along, slanted, across, _ = maps[1 : 1 + SECTORS, height // 2, width // 2]
    assert along > slanted > across
    assert along - across > 0.3


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_slice_has_mirrored_conditions(axis: int) -> None:
    hu = disc()
    hu[60:90, 100:130] = 800  # a bone off the middle
    hu[40:60, 40:70] = -500
    expected = mirrored(np.flip(noise_conditions(hu, 1.5), axis + 1))
    np.testing.assert_allclose(noise_conditions(np.flip(hu, axis), 1.5), expected, atol=0.02)


def test_conditions_do_not_depend_on_the_size_of_the_pixels() -> None:
    coarse = disc()
    fine = zoom(coarse, 2, order=0)
    a, b = noise_conditions(coarse, 1.5), noise_conditions(fine, 0.75)
    assert a.shape == b.shape
    inside = a[0] * LEVEL_HU > 0
    np.testing.assert_allclose(a[:, inside], b[:, inside], atol=0.1)


def test_maps_are_interpolated_over_the_whole_slice() -> None:
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[None, None] * np.ones((1, 8, 1), np.float32)
    pixels = np.arange(32, dtype=np.float32)
    fine = at_pixels(ramp, (32, 32), pixels, pixels)
    np.testing.assert_allclose(fine[:, :, 2:-2], resampled(ramp, (32, 32))[:, :, 2:-2], atol=1e-3)
    assert fine[0, 0, 0] == 0
    assert fine[0, 0, -1] == 1
