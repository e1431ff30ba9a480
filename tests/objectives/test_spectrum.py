"""The noise power spectrum as an objective: closed forms, invariants, gradients, and what anatomy does to it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.metrics.noise_power import nps
from lowdose.objectives import MSE, NoisePowerSpectrumLoss

RANGE = OBJECTIVE.one - OBJECTIVE.zero


def white(sd: float, seed: int = 0, count: int = 6, side: int = 96) -> Tensor:
    """Noise of ``sd`` HU, in the unit of objectives."""
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed)) * sd / RANGE


def blotchy(noise: Tensor) -> Tensor:
    """The same noise smoothed, with its SD."""
    smooth = torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1, count_include_pad=False)
    return smooth * noise.std() / smooth.std()


def value(pred: Tensor, target: Tensor, **settings: float) -> float:
    return float(NoisePowerSpectrumLoss(**settings)(pred, target))  # type: ignore[arg-type]


@pytest.mark.parametrize("block", [16, 32, 64])
@pytest.mark.parametrize("sd", [5.0, 40.0])
def test_power_of_white_noise_is_its_variance_in_every_band(block: int, sd: float) -> None:
    power = NoisePowerSpectrumLoss(block).power(0.4 + white(sd, count=24)).mean(dim=(0, 1))
    assert power.shape == (block // 4,)
    # In the lowest band the fitted surface removes some of it.
    assert power[1:].tolist() == pytest.approx([sd**2] * (block // 4 - 1), rel=0.06)
    assert power[0] < sd**2


def test_power_is_the_radial_mean_of_the_noise_power_spectrum() -> None:
    """Against the metric, which uses no window and restores the power of the surface."""
    noise = white(30.0, count=64, side=64)
    images = 0.4 + noise + blotchy(noise)  # three to eight times as much power at low frequencies
    ours = NoisePowerSpectrumLoss(32).power(images).mean(dim=(0, 1)).numpy()
    rois = (images[:, 0].unfold(1, 32, 32).unfold(2, 32, 32).reshape(-1, 32, 32) * RANGE).numpy()
    f = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(32)]))
    theirs = [nps(rois, 1.0)[(f > k / 16) & (f <= (k + 1) / 16)].mean() for k in range(8)]
    assert ours[1:6] == pytest.approx(theirs[1:6], rel=0.1)


def test_zero_at_identity_and_zero_weight_leaves_the_rest() -> None:
    target = 0.3 + white(20.0)
    assert value(target, target) == 0.0
    both = MSE() + 0.0 * NoisePowerSpectrumLoss()
    assert list(both.terms(target, target)) == ["mse", "noise_power_spectrum"]
    assert both.smallest == 32


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_noise_of_another_sd_has_the_closed_form(factor: float) -> None:
    noise = white(200.0)
    expected = math.log(factor**2) ** 2
    assert value(0.5 + factor * noise, 0.5 + noise) == pytest.approx(expected, rel=0.01)
    assert value(0.5 + factor * noise, 0.5 + noise, level=0.25) == pytest.approx(0.25 * expected, rel=0.01)
    assert value(0.5 + factor * noise, 0.5 + noise, level=0.0) == pytest.approx(0.0, abs=1e-4)


def test_noise_of_twice_the_sd_drawn_anew_costs_log_four_above_the_scatter_of_a_new_draw() -> None:
    target, same, twice = white(100.0), white(100.0, 1), 2 * white(100.0, 1)
    scatter = value(same, target)
    assert 0 < scatter < 0.4
    assert value(twice, target) - scatter == pytest.approx(math.log(4) ** 2, rel=0.15)


def test_sign_of_the_noise_and_any_second_order_background_play_no_role() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    pred, target = blotchy(white(20.0, 3)), white(20.0, 4)
    expected = value(pred, target)
    assert value(-pred, target) == pytest.approx(expected, rel=1e-5)
    assert value(0.4 + 0.1 * x - 0.05 * y * y + pred, 0.1 + 0.2 * x * y - target) == pytest.approx(expected, rel=1e-2)


def test_blotchy_noise_of_the_same_sd_costs_and_only_by_its_texture() -> None:
    target = 0.4 + white(30.0)
    coarse = 0.4 + blotchy(white(30.0, 1))
    assert value(coarse, target) > 4 * value(0.4 + white(30.0, 1), target)
    assert value(coarse, target, level=0.0) > 0.3 * value(coarse, target)


def test_edges_cancel() -> None:
    """A bone edge leaves blocks without it as they are, and costs nothing itself, though it is 100 times the noise."""
    edge = torch.zeros(1, 1, 96, 96)
    edge[..., 60:] = 0.4
    pred, target = 0.3 + 2 * white(10.0, 1), 0.3 + white(10.0)
    plain, beside = value(pred, target), value(pred + edge, target + edge)
    assert 0.3 * plain < beside < plain
    assert value(target + edge, target + edge) == 0.0


def test_values_below_the_floor_are_no_texture() -> None:
    assert value(torch.zeros(1, 1, 64, 64), white(0.1, count=1, side=64)) < 1e-3


@pytest.mark.parametrize("target", [torch.full((2, 1, 64, 64), 0.35), 0.35 + white(20.0, count=2, side=64)])
def test_gradient_of_constant_patches_is_finite(target: Tensor) -> None:
    pred = torch.full((2, 1, 64, 64), 0.35, requires_grad=True)
    NoisePowerSpectrumLoss()(pred, target).backward()
    assert pred.grad is not None
    assert bool(pred.grad.isfinite().all())


def test_gradient_is_that_of_differences() -> None:
    objective, target = NoisePowerSpectrumLoss(16), white(50.0, count=1, side=32)
    pred, direction = white(30.0, 1, 1, 32), white(1.0, 2, 1, 32)
    pred.requires_grad_()
    objective(pred, target).backward()
    assert pred.grad is not None
    with torch.no_grad():
        ahead, behind = (objective(pred + sign * 0.2 * direction, target) for sign in (1, -1))
    assert float((pred.grad * direction).sum()) == pytest.approx(float(ahead - behind) / 0.4, rel=0.01)


def test_descent_gives_a_smooth_image_the_texture_of_its_target() -> None:
    target = 0.4 + white(30.0, count=1, side=64)
    pred = (0.4 + white(3.0, 5, 1, 64)).requires_grad_()
    before = value(pred.detach(), target)
    optimiser = torch.optim.Adam([pred], lr=5e-4)
    for _ in range(60):
        optimiser.zero_grad()
        NoisePowerSpectrumLoss()(pred, target).backward()
        optimiser.step()
    assert value(pred.detach(), target) < 0.05 * before
    # Not 30: frequencies beyond Nyquist, in the corners of the transform, are not compared.
    assert float(pred[..., 16:48, 16:48].detach().std() * RANGE) == pytest.approx(30.0 * (math.pi / 4) ** 0.5, rel=0.1)


def test_half_precision_of_the_rest_does_not_touch_it() -> None:
    pred, target = 0.4 + white(8.0, 1), 0.4 + white(8.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert value(pred, target) == value(pred, target)
        inside = value(pred, target)
    assert inside == value(pred, target)


def test_refusals() -> None:
    with pytest.raises(InvalidSetting, match="block=30"):
        NoisePowerSpectrumLoss(30)
    with pytest.raises(InvalidSetting, match="level=-1"):
        NoisePowerSpectrumLoss(level=-1)
    with pytest.raises(InvalidSetting, match="24 x 40 pixels"):
        NoisePowerSpectrumLoss()(torch.zeros(1, 1, 24, 40), torch.zeros(1, 1, 24, 40))
