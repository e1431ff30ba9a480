"""Noise in bands: exact for white noise of known SD, blind to anatomy and dose-proportional."""

from itertools import pairwise

import numpy as np
import pytest

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import noise_bands
from lowdose.metrics.band_noise import WIDTHS_MM, flat_tissue

PIXEL = 0.8


def white(sd: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, (256, 256)).astype(np.float32)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def test_white_noise_has_in_each_band_what_the_filters_let_through() -> None:
    from scipy.ndimage import gaussian_filter

    impulse = np.zeros((65, 65))
    impulse[32, 32] = 1
    smooth = [impulse if width == 0 else gaussian_filter(impulse, width / PIXEL) for width in WIDTHS_MM]
    expected = [20 * float(np.sqrt(((a - b) ** 2).sum())) for a, b in pairwise(smooth)]
    found = noise_bands(40 + white(20), everywhere(white(20)), PIXEL)
    assert found is not None
    # The mean of a window, which is subtracted, takes more of the coarser bands away.
    for one, other, tolerance in zip(found, expected, (0.03, 0.05, 0.1, 0.2), strict=True):
        assert one == pytest.approx(other, rel=tolerance)


def test_an_organ_with_edges_beside_flat_tissue_changes_little() -> None:
    plain, noise = np.full((256, 256), 40.0, np.float32), white(15)
    busy = plain.copy()
    busy[:, 128:] += (100 * (np.sin(np.arange(128) / 3.0) > 0)).astype(np.float32)
    one, other = (noise_bands(image + noise, everywhere(noise), PIXEL) for image in (plain, busy))
    np.testing.assert_allclose(one, other, rtol=0.06)


def test_padding_is_left_out() -> None:
    hu, valid = 40 + white(20), np.ones((256, 256), bool)
    hu[:60], valid[:60] = -2000, False
    found = noise_bands(hu, valid, PIXEL)
    np.testing.assert_allclose(found, noise_bands(40 + white(20), everywhere(hu), PIXEL), rtol=0.06)
    flat = flat_tissue(np.where(valid, hu, -1000.0), valid, PIXEL)
    assert flat is not None
    assert not flat[:60].any()


def test_without_soft_tissue_there_is_nothing_to_measure() -> None:
    assert noise_bands(np.full((128, 128), -1000.0, np.float32), np.ones((128, 128), bool), PIXEL) is None
    constant = noise_bands(np.full((128, 128), 40.0, np.float32), np.ones((128, 128), bool), PIXEL)
    assert constant == pytest.approx((0, 0, 0, 0), abs=1e-6)


def test_bad_arguments() -> None:
    with pytest.raises(GeometryMismatch):
        noise_bands(np.zeros((2, 8, 8), np.float32), np.ones((2, 8, 8), bool), 1.0)
    with pytest.raises(InvalidSetting, match="pixel size"):
        noise_bands(np.zeros((8, 8), np.float32), np.ones((8, 8), bool), 0.0)
