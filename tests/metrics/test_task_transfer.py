"""The transfer function of blurred discs, whose own is known in closed form."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.task_transfer import TaskTransferFunction, first_crossing, ttf

Array = NDArray[np.float64]
FINE = 9


@cache
def _unit_disc(side: int, y: float, x: float, radius: float, sigma: float) -> Array:
    """A disc of 1 in 0 (side, side), all in px: Gaussian blur, then the mean over each pixel."""
    axis = (np.arange(side * FINE) + 0.5) / FINE - 0.5
    sharp = (np.hypot(axis[:, None] - y, axis[None, :] - x) <= radius).astype(np.float32)
    blurred = gaussian_filter(sharp, sigma * FINE) if sigma else sharp
    return blurred.reshape(side, FINE, side, FINE).mean(axis=(1, 3)).astype(np.float64)


def _disc(pixel_mm: float, sigma_mm: float, diameter_mm: float, at: tuple[float, float]) -> tuple[Array, int]:
    """The disc off the grid by ``at`` px from the middle pixel of its image, and the number of that pixel."""
    middle = int(np.ceil(0.9 * diameter_mm / pixel_mm)) + 4
    y, x = middle + at[0], middle + at[1]
    return _unit_disc(2 * middle + 1, y, x, diameter_mm / 2 / pixel_mm, sigma_mm / pixel_mm), middle


def _known(sigma_mm: float, pixel_mm: float) -> tuple[Array, Array]:
    """Gaussian times the pixel's aperture as edges of all directions see it on average."""
    f = np.linspace(0, 3, 6001)[:, None]
    angle = (np.arange(90) + 0.5) * np.pi / 180
    aperture = np.sinc(f * pixel_mm * np.cos(angle)) * np.sinc(f * pixel_mm * np.sin(angle))
    return f[:, 0], np.exp(-2 * (np.pi * sigma_mm * f[:, 0]) ** 2) * aperture.mean(axis=1)


def _errors(found: TaskTransferFunction, sigma_mm: float, pixel_mm: float) -> tuple[float, float]:
    assert found.f50 is not None
    assert found.f10 is not None
    true = [first_crossing(level, *_known(sigma_mm, pixel_mm)) or np.nan for level in (0.5, 0.1)]
    return found.f50 / true[0] - 1, found.f10 / true[1] - 1


@pytest.mark.parametrize("pixel_mm", [0.4, 0.6, 0.9])
@pytest.mark.parametrize("sigma_mm", [0.4, 0.7, 1.2])
@pytest.mark.parametrize("diameter_mm", [10.0, 18.0])
def test_f50_and_f10_within_two_percent(pixel_mm: float, sigma_mm: float, diameter_mm: float) -> None:
    shape, middle = _disc(pixel_mm, sigma_mm, diameter_mm, (0.31, -0.17))
    for contrast in (-120.0, 900.0):
        found = ttf(40 + contrast * shape, (middle, middle), diameter_mm, pixel_mm)
        assert np.abs(_errors(found, sigma_mm, pixel_mm)).max() < 0.02
        assert found.contrast == pytest.approx(contrast, rel=0.01)
        assert found.centre == pytest.approx((middle + 0.31, middle - 0.17), abs=0.02)
        assert found.radius_mm == pytest.approx(diameter_mm / 2, abs=0.2)
        f, curve = _known(sigma_mm, pixel_mm)
        assert np.allclose(found.value, np.interp(found.frequency, f, curve), atol=0.03)
        assert found.value[0] == 1.0


def test_a_large_disc() -> None:
    shape, middle = _disc(0.9, 0.8, 30.0, (-0.4, 0.45))
    assert np.abs(_errors(ttf(300 * shape, (middle, middle), 30.0, 0.9), 0.8, 0.9)).max() < 0.02


@settings(max_examples=12, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_the_curve_does_not_depend_on_the_position_on_the_grid(dy: float, dx: float) -> None:
    shape, middle = _disc(0.7, 0.6, 12.0, (round(dy, 2), round(dx, 2)))
    assert np.abs(_errors(ttf(100 * shape, (middle, middle), 12.0, 0.7), 0.6, 0.7)).max() < 0.02


@settings(max_examples=20, deadline=None)
@given(st.floats(-1000, 3000), st.floats(-20, 20).filter(lambda k: abs(k) > 0.05), st.floats(0.2, 2.0))
def test_shift_contrast_and_pixel(shift: float, scale: float, pixel: float) -> None:
    shape, middle = _disc(0.7, 0.6, 12.0, (0.3, 0.1))
    noisy = 100 * shape + np.random.default_rng(0).normal(0, 1, shape.shape)
    first, other = (
        ttf(noisy, (middle, middle), 12.0, 0.7),
        ttf(scale * noisy + shift, (middle, middle), 12 * pixel, 0.7 * pixel),
    )
    assert first.f50 is not None
    assert other.f50 == pytest.approx(first.f50 / pixel, rel=1e-3)
    assert other.contrast == pytest.approx(scale * first.contrast, rel=1e-3)
    assert other.cnr == pytest.approx(first.cnr, rel=1e-3)


def test_a_rough_centre_and_diameter_will_do() -> None:
    shape, middle = _disc(0.6, 0.6, 15.0, (0.3, -0.2))
    image = np.pad(200 * shape, 12)
    exact = ttf(image, (middle + 12, middle + 12), 15.0, 0.6)
    rough = ttf(image, (middle + 12 + 4, middle + 12 - 3), 13.0, 0.6)
    assert rough.f50 == pytest.approx(exact.f50, rel=1e-3)
    assert rough.centre == pytest.approx(exact.centre, abs=1e-3)


@pytest.mark.parametrize(("sigma_mm", "contrast"), [(0.5, 100.0), (0.8, -60.0)])
def test_noise_averages_out(sigma_mm: float, contrast: float) -> None:
    shape, middle = _disc(0.6, sigma_mm, 20.0, (0.2, 0.4))
    rng = np.random.default_rng(8)
    errors = []
    for _ in range(6):
        scans = contrast * shape + rng.normal(0, 15, (50, *shape.shape))
        found = ttf(scans, (middle, middle), 20.0, 0.6)
        errors.append(_errors(found, sigma_mm, 0.6))
        assert found.noise == pytest.approx(15.0, rel=0.03)
        assert found.cnr == pytest.approx(abs(contrast) / 15, rel=0.05)
    assert np.sqrt(np.mean(np.square(errors), axis=0)).max() < 0.05


def test_a_sharper_image_has_a_higher_curve() -> None:
    curves = [ttf(100 * _disc(0.6, sigma, 12.0, (0.1, 0.2))[0], (22, 22), 12.0, 0.6) for sigma in (0.5, 0.7, 1.0)]
    f50 = [curve.f50 for curve in curves]
    assert f50 == sorted(f50, key=lambda f: -(f or 0))
    assert curves[0].cnr > 100


def test_a_sloping_background_is_no_edge() -> None:
    shape, middle = _disc(0.6, 0.7, 12.0, (0.3, 0.2))
    slope = 0.5 * np.arange(len(shape))[:, None]
    assert np.abs(_errors(ttf(100 * shape + slope, (middle, middle), 12.0, 0.6), 0.7, 0.6)).max() < 0.02


def test_a_curve_that_does_not_fall_so_far() -> None:
    f = np.linspace(0, 1, 101)
    assert first_crossing(0.5, f, 1 - f) == pytest.approx(0.5)
    assert first_crossing(0.1, f, 1 - 0.5 * f) is None


def test_a_disc_near_the_border_or_of_no_size() -> None:
    image = 100 * _disc(0.6, 0.7, 12.0, (0.0, 0.0))[0]
    with pytest.raises(GeometryMismatch, match=r"row 8\.0, column 22\.0 needs 19 px"):
        ttf(image, (8, 22), 12.0, 0.6)
    with pytest.raises(InvalidSetting, match=r"a disc of 4 mm is 6\.7 px wide, .* smaller pixels"):
        ttf(image, (22, 22), 4.0, 0.6)
    for diameter, pixel in ((-1.0, 0.6), (12.0, 0.0), (np.nan, 0.6), (12.0, np.inf)):
        with pytest.raises(InvalidSetting, match="finite numbers"):
            ttf(image, (22, 22), diameter, pixel)
    with pytest.raises(GeometryMismatch, match="need"):
        ttf(image[None, None], (22, 22), 12.0, 0.6)
    holed = image.copy()
    holed[20, 20] = np.nan
    with pytest.raises(InvalidSetting, match="not finite"):
        ttf(holed, (22, 22), 12.0, 0.6)


def test_an_edge_without_contrast_is_refused() -> None:
    shape, middle = _disc(0.6, 0.7, 12.0, (0.0, 0.0))
    noise = np.random.default_rng(0).normal(0, 20, shape.shape)
    with pytest.raises(InvalidSetting, match=r"too low for the noise of \d\d\.\d HU .* average more slices"):
        ttf(60 * shape + noise, (middle, middle), 12.0, 0.6)
    for nothing in (noise, np.zeros_like(shape)):
        with pytest.raises(InvalidSetting, match=r"no disc|too low"):
            ttf(nothing, (middle, middle), 12.0, 0.6)
    wide, middle = _disc(0.6, 2.4, 12.0, (0.0, 0.0))
    with pytest.raises(InvalidSetting, match=r"blurred over 2\.\d mm .* larger insert"):
        ttf(60 * wide, (middle, middle), 12.0, 0.6)
