"""Comparison of neighbouring slices: which pixels count, and what is learned from those that do."""

from __future__ import annotations

import pytest
import torch

from lowdose.objectives.similar_slices import masked_absolute_error, similar_pixels


def test_the_limit_is_on_means_of_7_x_7_pixels() -> None:
    one = torch.zeros(1, 1, 21, 21)
    for height, expected in ((30.0 * 49 - 1, True), (30.0 * 49 + 1, False)):
        other = one.clone()
        other[0, 0, 10, 10] = height  # spread over the window, this is just below and just above 30 HU
        kept = similar_pixels(one, other)[0, 0]
        assert kept[7:14, 7:14].all() == kept[7:14, 7:14].any() == expected
        assert kept.sum() == 21 * 21 - (0 if expected else 49)


def test_noise_alone_leaves_nearly_all_pixels() -> None:
    noise = 60 * torch.randn(2, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert similar_pixels(*noise).float().mean() > 0.98


@pytest.mark.parametrize("mean", [20.0, 1000.0])
def test_one_slice_in_the_place_of_two_has_no_pixel(mean: float) -> None:
    images = torch.full((2, 1, 9, 9), mean)
    other = images.clone()
    other[1, 0, 4, 4] += 1
    assert similar_pixels(images, other).flatten(1).sum(1).tolist() == [0, 81]


def test_masked_pixels_have_no_gradient() -> None:
    pred, target = torch.randn(2, 2, 1, 16, 16)
    pred.requires_grad_()
    kept = torch.rand(2, 1, 16, 16) < 0.5
    masked_absolute_error(pred, target, kept).backward()
    assert not pred.grad[~kept].any()
    torch.testing.assert_close(pred.grad[kept], (pred - target).sign().detach()[kept] / pred.numel())
    target[~kept] = torch.nan  # whatever is there
    assert masked_absolute_error(pred, target, kept).isfinite()


@pytest.mark.parametrize(("shared", "gain"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_noise_that_both_slices_share_is_learned_as_if_it_were_the_patient(shared: float, gain: float) -> None:
    # Of all multiples of the input, that with the least error keeps the share of the noise that is common.
    draws = torch.randn(2, 1, 1, 300, 300, generator=torch.Generator().manual_seed(1))
    low, target = draws[0], shared * draws[0] + (1 - shared**2) ** 0.5 * draws[1]
    kept = torch.ones_like(low, dtype=torch.bool)
    gains = torch.linspace(-0.2, 1.2, 29)
    errors = torch.stack([masked_absolute_error(one * low, target, kept) for one in gains])
    assert gains[errors.argmin()].item() == pytest.approx(gain, abs=0.051)
