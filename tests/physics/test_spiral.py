"""Noise of spiral scans: how often each point is measured, and the source angle found from the noise of the slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.physics.dose_simulator import DoseSimulator, expected_counts, noise_generator
from lowdose.physics.geometry import FanBeam, Grid
from lowdose.physics.kernels import B30
from lowdose.physics.scanner import Scanner
from lowdose.physics.spiral import ANGLES, POINTS, inverse_repeats, own_noise, spiral_gain

SCANNER = Scanner(fan=FanBeam(192, 240, 3.94))
SIZE, PIXEL = 192, (2.0, 2.0)
GRID = Grid((SIZE, SIZE), PIXEL)
SOURCE = SCANNER.fan.source_mm


def ellipse(half_width: float = 170.0, half_height: float = 110.0) -> np.ndarray:
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL[0]
    return np.where((y / half_height) ** 2 + (x / half_width) ** 2 < 1, 20.0, -1000.0).astype(np.float32)


def scanned(slope: tuple[float, float], seed: int = 0) -> np.ndarray:
    """A body whose noise has the placement of an axial scan times exp(slope . (y, x) / 200 mm)."""
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL[0] / 200
    axial = DoseSimulator(replace(SCANNER, pitch=0.0), B30)
    noise = axial.noise(axial.expected(ellipse(), PIXEL, 300.0), 0.5, noise_generator(seed, "own"))
    return ellipse() + noise * np.exp(slope[0] * y + slope[1] * x).astype(np.float32)


def gain_of(hu: np.ndarray, scanner: Scanner = SCANNER) -> np.ndarray | None:
    return spiral_gain(scanner, hu, expected_counts(scanner, ellipse(), PIXEL, 300.0).photons, GRID)


def test_on_the_axis_measurements_are_counted_by_hand() -> None:
    # Turns of up to pitch * angle / pi = 0.8 count fully: at pitch 0.75 the source is seen at 0 and +-180 degrees
    # along its line, at +-90 degrees across it.
    middle = POINTS // 2
    found = inverse_repeats(SCANNER.rays, Grid((65, 65), (0.01, 0.01)), SOURCE, 0.75)[0, :, middle, middle]
    angles = SCANNER.rays.angles()[:: SCANNER.rays.views // 48]
    across = int(np.argmin(np.abs(angles)))  # source angle 0 is along x, which the view at 90 degrees looks along
    along = int(np.argmin(np.abs(angles - np.pi / 2)))
    assert found[along] == pytest.approx(1 / 3, rel=0.01)
    assert found[across] == pytest.approx(1 / 2, rel=0.01)


def test_the_side_of_the_source_is_measured_more_often() -> None:
    repeats = inverse_repeats(SCANNER.rays, GRID, SOURCE, 0.75).mean(axis=1)
    right, left = repeats[0, 12:20, 26].mean(), repeats[0, 12:20, 5].mean()
    assert right < 0.8 * left


def test_a_quarter_turn_of_the_source_turns_the_map() -> None:
    grid = Grid((192, 192), PIXEL)
    mean = inverse_repeats(SCANNER.rays, grid, SOURCE, 0.75).mean(axis=1)
    np.testing.assert_allclose(mean[ANGLES // 4], np.rot90(mean[0], -1), rtol=0.25)
    assert np.corrcoef(mean[ANGLES // 4].ravel(), np.rot90(mean[0], -1).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("slope", [(0.0, 0.35), (0.0, -0.35), (0.45, 0.0)])
def test_uneven_noise_of_the_slice_is_found(slope: tuple[float, float]) -> None:
    gain = gain_of(scanned(slope))
    assert gain is not None
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL[0] / 200
    inside = ellipse(150, 90) > 0
    assert np.corrcoef(np.log(gain)[inside], (slope[0] * y + slope[1] * x)[inside])[0, 1] > 0.5
    assert 0.8 < np.median(gain[inside]) < 1.2


@pytest.mark.parametrize("seed", range(4))
def test_noise_of_an_axial_scan_is_left_as_it_is(seed: int) -> None:
    assert gain_of(scanned((0.0, 0.0), seed)) is None


def test_no_spiral_without_pitch_or_noise() -> None:
    assert gain_of(scanned((0.0, 0.35)), replace(SCANNER, pitch=0.0)) is None
    assert gain_of(ellipse()) is None
    assert gain_of(np.full((SIZE, SIZE), -1000, np.float32)) is None


def test_own_noise_is_proportional_to_the_noise_and_blind_to_smooth_anatomy() -> None:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 0.5)
    smooth = ellipse() + 30 * np.sin(3 * x) * np.cos(2 * y)
    once, weight = own_noise((ellipse() + 20 * noise).astype(np.float32), GRID)
    twice, _ = own_noise((smooth + 40 * noise).astype(np.float32), GRID)
    used = weight > 0.3
    assert used.sum() > 100
    assert np.median(twice[used] / once[used]) == pytest.approx(2, rel=0.05)


def test_simulated_noise_lies_where_the_noise_of_the_slice_lies() -> None:
    hu = scanned((0.0, 0.4))
    spiral = DoseSimulator(SCANNER, B30)
    expected = spiral.expected(hu, PIXEL, 300.0)
    assert expected.gain is not None
    noise = spiral.noise(expected, 0.25, noise_generator(1, "a"))
    plain = spiral.noise(expected._replace(gain=None), 0.25, noise_generator(1, "a"))
    np.testing.assert_array_equal(noise, plain * expected.gain)
    right, left = noise[80:112, 135:165].std(), noise[80:112, 27:57].std()
    even = plain[80:112, 135:165].std() / plain[80:112, 27:57].std()
    assert right / left > 1.15 * even


@pytest.mark.parametrize("pitch", [-0.1, 2.5, float("nan")])
def test_a_pitch_that_no_scan_has_is_refused(pitch: float) -> None:
    with pytest.raises(Exception, match="pitch"):
        Scanner(pitch=pitch)
