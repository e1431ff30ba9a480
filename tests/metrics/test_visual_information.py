"""VIF against its definition written out with plain sums, and what it must do at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.visual_information import vif

Array = NDArray[np.float64]


def _pair(seed: int = 0, size: int = 64) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    reference = gaussian_filter(rng.uniform(0, 1, (size, size)), 2.0)
    reference = (reference - reference.min()) / np.ptp(reference)
    return reference + rng.normal(0, 0.05, reference.shape), reference


def _literal(x: Array, y: Array) -> float:
    """Sheikh and Bovik's pixel-domain VIF, pixel after pixel."""
    received = available = 0.0
    for scale in range(1, 5):
        n = 2 ** (5 - scale) + 1
        r = np.arange(n) - n // 2
        g = np.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / (2 * (n / 5) ** 2))
        g /= g.sum()
        if scale > 1:
            x, y = convolve2d(x, g, "valid")[::2, ::2], convolve2d(y, g, "valid")[::2, ::2]
        for i in range(x.shape[0] - n + 1):
            for j in range(x.shape[1] - n + 1):
                a, b = x[i : i + n, j : j + n], y[i : i + n, j : j + n]
                ma, mb = (g * a).sum(), (g * b).sum()
                va, vb, cov = (g * a * a).sum() - ma**2, (g * b * b).sum() - mb**2, (g * a * b).sum() - ma * mb
                gain = max(cov / vb, 0.0)
                noise = va - gain * cov if gain > 0 else va
                received += np.log2(1 + gain**2 * vb / (noise + 2.0))
                available += np.log2(1 + vb / 2.0)
    return received / available


def test_it_is_the_definition_written_out() -> None:
    image, reference = _pair(size=44)
    expected = _literal(255 * image, 255 * reference)
    assert vif(image, reference, data_range=1.0, scaled_to=255.0) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 255.0, 2924.0]))
def test_identity_and_order(seed: int, scale: float) -> None:
    image, reference = _pair(seed)
    assert vif(reference, reference, data_range=1.0, scaled_to=scale) == pytest.approx(1.0, abs=1e-6)
    assert vif(image, reference, data_range=1.0, scaled_to=scale) > 0.0
    swapped = vif(reference, image, data_range=1.0, scaled_to=scale)
    assert abs(vif(image, reference, data_range=1.0, scaled_to=scale) - swapped) > 1e-3


def test_the_scale_of_the_data_matters_but_not_their_unit() -> None:
    image, reference = _pair()
    value = vif(image, reference, data_range=1.0, scaled_to=255.0)
    assert vif(image, reference, data_range=1.0, scaled_to=1.0) > value + 0.1
    assert vif(400 * image, 400 * reference, data_range=400.0, scaled_to=255.0) == pytest.approx(value, rel=1e-6)
    assert vif(image - 0.4, reference - 0.4, data_range=1.0, scaled_to=255.0) == pytest.approx(value, rel=1e-6)


def test_blur_loses_information_and_contrast_adds_it() -> None:
    _, reference = _pair()
    blurred = gaussian_filter(reference, 1.5)
    assert vif(blurred, reference, data_range=1.0, scaled_to=255.0) < 0.9
    assert vif(1.2 * reference, reference, data_range=1.0, scaled_to=255.0) > 1.0
    assert vif(1 - reference, reference, data_range=1.0, scaled_to=255.0) == pytest.approx(0.0, abs=1e-6)


def test_flat_images_and_what_cannot_be_measured() -> None:
    flat = np.zeros((41, 41))
    assert vif(flat, flat, data_range=1.0, scaled_to=255.0) == 1.0
    with pytest.raises(GeometryMismatch, match="41 x 41"):
        vif(flat[:40], flat[:40], data_range=1.0, scaled_to=255.0)
    with pytest.raises(InvalidSetting, match="scale"):
        vif(flat, flat, data_range=1.0, scaled_to=0.0)
