"""RMSE and PSNR against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics.fidelity import psnr, rmse


def test_ten_hu_on_a_range_of_400_is_32_04_db() -> None:
    reference = np.random.default_rng(0).uniform(-100, 200, (32, 32))
    assert rmse(reference + 10, reference) == pytest.approx(10.0)
    assert psnr(reference + 10, reference, 400.0) == pytest.approx(32.0412, abs=1e-4)


def test_equal_images_have_no_error_and_infinite_psnr() -> None:
    image = np.ones((4, 4), dtype=np.float32)
    assert rmse(image, image) == 0.0
    assert psnr(image, image, 1.0) == math.inf


def test_it_computes_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(1000, 1, (512, 512)).astype(np.float32)
    b = a + np.float32(0.25)
    assert rmse(a, b) == pytest.approx(0.25, rel=1e-9)


@given(st.floats(0.01, 1e4), st.floats(-500, 500).filter(lambda e: abs(e) > 1e-3))
def test_psnr_is_symmetric_and_unchanged_by_a_common_unit(data_range: float, error: float) -> None:
    a = np.zeros((3, 3))
    b = a + error
    assert psnr(a, b, data_range) == pytest.approx(psnr(b, a, data_range))
    assert psnr(3 * a, 3 * b, 3 * data_range) == pytest.approx(psnr(a, b, data_range))


@pytest.mark.parametrize("data_range", [0.0, -1.0, math.inf, math.nan])
def test_a_range_without_meaning_is_refused(data_range: float) -> None:
    with pytest.raises(InvalidSetting, match="data range"):
        psnr(np.zeros((2, 2)), np.ones((2, 2)), data_range)


def test_images_of_other_shapes_are_refused() -> None:
    with pytest.raises(GeometryMismatch, match="cannot be compared"):
        rmse(np.zeros((2, 2)), np.zeros((1, 2)))
