"""SSIM flavours against the formula written out window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.structural_similarity import SSIM_FLAVOURS, SsimFlavour, ssim

FLAVOURS: list[SsimFlavour] = list(SSIM_FLAVOURS)


def _pair(seed: int = 0, shape: tuple[int, int] = (24, 20)) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    reference = rng.uniform(0, 1, shape)
    return np.clip(reference + rng.normal(0, 0.2, shape), 0, 1), reference


def _index(x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], unbias: float = 1.0) -> float:
    """Eq. 13 of Wang 2004 in one window with weights w and L = 1."""
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy = unbias * (w * (x - mx) ** 2).sum(), unbias * (w * (y - my) ** 2).sum()
    cov = unbias * (w * (x - mx) * (y - my)).sum()
    c1, c2 = 0.01**2, 0.03**2
    return float((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


def _windows(
    x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], unbias: float = 1.0
) -> list[float]:
    n = len(w)
    corners = [(i, j) for i in range(x.shape[0] - n + 1) for j in range(x.shape[1] - n + 1)]
    return [_index(x[i : i + n, j : j + n], y[i : i + n, j : j + n], w, unbias) for i, j in corners]


def _gaussian() -> NDArray[np.float64]:
    r = np.arange(11) - 5
    g = np.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / (2 * 1.5**2))
    return g / g.sum()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_flavour_is_its_formula_written_out(flavour: SsimFlavour) -> None:
    x, y = _pair()
    if flavour == "uniform7":
        expected = np.mean(_windows(x, y, np.full((7, 7), 1 / 49), 49 / 48))
    else:
        if flavour == "red_cnn":
            x, y = (np.pad(a, 5) for a in (x, y))
        elif flavour != "gaussian_cropped":
            x, y = (np.pad(a, 5, mode="reflect") for a in (x, y))
        values = np.array(_windows(x, y, _gaussian()))
        expected = np.mean(values.clip(0, 1) if flavour == "clamped" else values)
    assert ssim(*_pair(), 1.0, flavour) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_identical_images_have_similarity_one(flavour: SsimFlavour) -> None:
    image, _ = _pair()
    assert ssim(image, image, 1.0, flavour) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(FLAVOURS), st.floats(0.5, 500))
def test_it_is_symmetric_bounded_and_free_of_the_unit(seed: int, flavour: SsimFlavour, unit: float) -> None:
    x, y = _pair(seed)
    value = ssim(x, y, 1.0, flavour)
    assert -1.0 <= value < 1.0
    assert ssim(y, x, 1.0, flavour) == pytest.approx(value, abs=1e-12)
    assert ssim(unit * x, unit * y, unit, flavour) == pytest.approx(value, abs=1e-9)


def test_it_is_not_free_of_a_shift() -> None:
    x, y = _pair()
    assert abs(ssim(x - 0.4, y - 0.4, 1.0, "red_cnn") - ssim(x, y, 1.0, "red_cnn")) > 0.01


def test_clamping_can_only_raise_it() -> None:
    x, y = _pair()
    assert ssim(1 - y, y, 1.0, "clamped") >= ssim(1 - y, y, 1.0, "gaussian_same")
    assert ssim(x, y, 1.0, "clamped") >= ssim(x, y, 1.0, "gaussian_same")


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(GeometryMismatch, match="11 x 11"):
        ssim(np.zeros((10, 30)), np.zeros((10, 30)), 1.0)
    with pytest.raises(GeometryMismatch, match="compared"):
        ssim(np.zeros((12, 12)), np.zeros((12, 13)), 1.0)
    with pytest.raises(InvalidSetting, match="gaussian_cropped"):
        ssim(*_pair(), 1.0, "wang")  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="data range"):
        ssim(*_pair(), 0.0)
