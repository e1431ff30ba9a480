"""Another kernel and other pixels: closed forms on cosines, which the transform knows exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.data.transforms.kernel_conversion import MIN_WINDOW, convert_kernel, hann_window


def waves(side: int, pixel: float, fy: float, fx: float) -> np.ndarray:
    """A product of cosines with whole half-waves along each side, so that mirroring continues it; frequencies 1/mm."""
    at = (np.arange(side) + 0.5) * pixel
    return np.asarray(np.cos(2 * np.pi * fy * at)[:, None] * np.cos(2 * np.pi * fx * at), np.float32)[None]


def half_waves(count: int, side: int, pixel: float) -> float:
    return count / (2 * side * pixel)


@pytest.mark.parametrize("counts", [(0, 7), (14, 0), (20, 33), (60, 60)])
@pytest.mark.parametrize(("own", "cutoff"), [(None, 0.6), (0.9, 0.6), (0.8, 1.8)])
def test_the_ratio_of_two_windows(counts: tuple[int, int], own: float | None, cutoff: float) -> None:
    side, pixel = 70, 0.7
    fy, fx = (half_waves(count, side, pixel) for count in counts)
    f = float(np.hypot(fy, fx))

    def window(end: float) -> float:
        return 0.5 + 0.5 * float(np.cos(np.pi * f / end)) if f < end else 0.0

    expected = window(cutoff) / (1.0 if own is None else max(window(own), MIN_WINDOW))
    image = waves(side, pixel, fy, fx)
    np.testing.assert_allclose(
        convert_kernel(image, pixel, cutoff=cutoff, own=own, side=side), expected * image, atol=2e-5
    )


@pytest.mark.parametrize("side", [48, 64, 96, 128])
def test_other_pixels_show_the_same_waves(side: int) -> None:
    k, pixel = 64, 0.8
    fy, fx = half_waves(9, k, pixel), half_waves(30, k, pixel)
    found = convert_kernel(waves(k, pixel, fy, fx), pixel, cutoff=None, own=None, side=side)
    np.testing.assert_allclose(found, waves(side, pixel * k / side, fy, fx), atol=2e-5)


def test_what_finer_pixels_alone_can_show_is_not_made_up() -> None:
    image = np.random.default_rng(0).normal(0, 20, (1, 64, 64)).astype(np.float32)
    there_and_back = convert_kernel(
        convert_kernel(image, 0.8, cutoff=None, own=None, side=100), 0.5, cutoff=None, own=None, side=64
    )
    np.testing.assert_allclose(there_and_back, image, atol=1e-3)


@given(st.integers(8, 40), st.integers(8, 40), st.floats(0.5, 2.2), st.floats(0.5, 2.2))
@settings(max_examples=40, deadline=None)
def test_a_constant_stays(k: int, side: int, own: float, cutoff: float) -> None:
    image = np.full((2, k, k), 50, np.float32)
    np.testing.assert_allclose(convert_kernel(image, 0.7, cutoff=cutoff, own=own, side=side), 50, rtol=1e-5)


def test_the_window_is_that_of_the_kernels() -> None:
    np.testing.assert_allclose(hann_window(np.array([0, 0.5, 1, 3], np.float32)), [1, 0.5, 0, 0], atol=1e-6)
