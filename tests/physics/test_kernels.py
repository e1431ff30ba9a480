"""Kernels: the windows of the book, and the mean frequencies of the noise they leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.errors import InvalidSetting
from lowdose.physics.kernels import (
    B30,
    D45,
    KERNELS,
    LCD_CT_NYQUIST,
    RAMP,
    SHEPP_LOGAN,
    Kernel,
    kernel_matching_f_av,
    parse_kernel,
)

LCD_CT_SAMPLE = 1.0 * 595 / 1085.6
"""mm between rays at the axis of FDA LCD_CT's scanner."""


def test_windows_match_their_formulas() -> None:
    f = torch.tensor([0.0, 0.2, 0.4, 0.5, 0.9], dtype=torch.float64)
    assert RAMP.response(f, 1.0).tolist() == [1] * 5
    assert SHEPP_LOGAN.response(f, 1.0)[3].item() == pytest.approx(2 / np.pi)
    hann = Kernel("hann", 0.8).response(f, 1.0)
    assert hann.tolist() == pytest.approx([1, 0.5 + 0.25 * np.sqrt(2), 0.5, 0.5 + 0.5 * np.cos(0.625 * np.pi), 0])


def test_a_hann_window_does_not_depend_on_the_detector() -> None:
    f = torch.linspace(0, 1, 11)
    assert torch.equal(B30.response(f, 0.5), B30.response(f, 0.9))


def test_siemens_kernels_as_the_fda_imitates_them() -> None:
    assert pytest.approx(0.912, abs=1e-3) == LCD_CT_NYQUIST
    assert B30.cutoff == pytest.approx(0.776, abs=1e-3)
    assert D45.cutoff == pytest.approx(1.870, abs=1e-3)
    f = torch.tensor([0.388, 0.617])
    assert B30.response(f, LCD_CT_SAMPLE).tolist() == pytest.approx([0.5, 0.1], abs=3e-3)


@pytest.mark.parametrize(("kernel", "mean"), [(B30, 0.270), (D45, 0.530)], ids=["B30", "D45"])
def test_mean_frequency(kernel: Kernel, mean: float) -> None:
    assert kernel.f_av(0.4, LCD_CT_SAMPLE) == pytest.approx(mean, abs=1e-3)


def test_mean_frequency_of_the_ramp_is_two_thirds_of_nyquist() -> None:
    assert RAMP.f_av(0.5, 0.5) == pytest.approx(2 / 3, rel=2e-3)
    assert RAMP.f_av(1.0, 0.5) == pytest.approx(1 / 3, rel=2e-3)  # pixels set the limit
    assert RAMP.f_av(0.5, 1.0) == pytest.approx(1 / 3, rel=2e-3)  # rays do


@settings(max_examples=8, deadline=None)
@given(st.floats(0.12, 4.5), st.floats(0.3, 1.0), st.floats(0.4, 1.0))
def test_matching_finds_the_kernel_again(cutoff: float, pixel: float, sample: float) -> None:
    target = Kernel("hann", cutoff).f_av(pixel, sample)
    assert kernel_matching_f_av(target, pixel, sample).f_av(pixel, sample) == pytest.approx(target, rel=1e-6)


def test_noise_sharper_than_any_window_leaves_is_the_ramp_s() -> None:
    assert kernel_matching_f_av(0.66, 0.5, 0.5) == RAMP


def test_kernels_by_name() -> None:
    for name, kernel in KERNELS.items():
        assert parse_kernel(name) == parse_kernel(name.upper()) == kernel
    assert parse_kernel("hann=0.8") == Kernel("hann", 0.8)
    for wrong in ("b31", "", "hann", "hann=", "hann=soft", "hann=nan", "hann=-1", "d45=3"):
        with pytest.raises(InvalidSetting, match=r"kernel|cut-off"):
            parse_kernel(wrong)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 20.0, float("nan"), float("inf")])
def test_cutoffs_that_cannot_be(cutoff: float) -> None:
    with pytest.raises(InvalidSetting, match="cut-off"):
        Kernel("hann", cutoff)


def test_windows_that_do_not_exist() -> None:
    with pytest.raises(InvalidSetting, match="hamming"):
        Kernel("hamming")  # type: ignore[arg-type]
