"""Local texture: blind to where noise lies, but not to its strength and spectrum; differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor

from lowdose.hounsfield import OBJECTIVE
from lowdose.objectives.local_texture import LocalTexture, log_local_sd


def tissue(noise_hu: Tensor | float = 0.0) -> Tensor:
    return OBJECTIVE.encode(torch.full((1, 1, 96, 96), 50.0) + noise_hu)


def noise(seed: int, sd: float = 20.0) -> Tensor:
    return sd * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(seed))


def test_written_out_slowly_away_from_the_edges() -> None:
    image = (50 + noise(0))[0, 0].double().numpy()
    smooth, found = image.clip(-200, 280), log_local_sd(tissue(noise(0)))
    for sigma, band in zip((0.8, 1.8, 3.5), found, strict=True):
        # A Gaussian cut off at the same number of pixels as the one under test.
        softer = gaussian_filter(smooth, sigma, radius=round(3 * sigma), mode="mirror")
        sd = np.sqrt(uniform_filter((smooth - softer) ** 2, 11) + 4.0)
        assert band.shape == (1, 1, 24, 24)
        np.testing.assert_allclose(band[0, 0, 4:-4, 4:-4], np.log(sd)[::4, ::4][4:-4, 4:-4], rtol=1e-3)
        smooth = softer


def test_another_realisation_is_nearer_than_a_smooth_image() -> None:
    loss, target = LocalTexture(), tissue(noise(0))
    same, smooth = loss(tissue(noise(1)), target), loss(tissue(), target)
    assert 5 * float(same) < float(smooth)
    mse = torch.nn.functional.mse_loss
    assert float(mse(tissue(noise(1)), target)) > float(mse(tissue(), target))  # squared error says the opposite


def test_twice_the_noise_is_ln_2_away() -> None:
    # In the finest band, which white noise fills far above the floor of 2 HU.
    one, two = (log_local_sd(tissue(factor * noise(0)))[0] for factor in (1, 2))
    assert float((two - one).mean()) == pytest.approx(np.log(2), abs=0.02)


def test_spectrum_matters_at_equal_strength() -> None:
    soft = torch.from_numpy(gaussian_filter(noise(1).numpy(), (0, 0, 1, 1)))
    soft = soft * 20 / soft.std()
    assert float(LocalTexture()(tissue(soft), tissue(noise(0)))) > 0.3


def test_zero_at_identity_and_gradient_points_to_more_noise() -> None:
    loss, target = LocalTexture(), tissue(noise(0))
    assert float(loss(target, target)) == 0.0
    strength = torch.tensor(0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(tissue(strength * noise(1)), target), strength)
    assert float(gradient) < 0


def test_air_and_bone_are_cut_off() -> None:
    edge = torch.zeros(1, 1, 96, 96)
    edge[..., :48] = -1050.0
    one, other = tissue(edge), tissue(2 * edge)
    assert float(LocalTexture()(one, other)) == 0.0
