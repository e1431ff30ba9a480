"""Training on projections: the likelihood written out, photons drawn by number, and which networks are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from lowdose import recipes
from lowdose.api import read
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.methods.neighbouring_projections import NeighbouringProjections, with_photon_noise
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.noise2noise_td import around
from support.ct_pair import CT_PAIR


def method(photons: float = 0.0, crop: int = 8, windows: int = 1, **settings: int) -> NeighbouringProjections:
    torch.manual_seed(0)
    spec = NetworkSpec("noise2noise_td", {"width": 4, "features": 4, **settings})
    return NeighbouringProjections(Denoiser(spec, Scale()), photons, crop, windows, 0.1)


def batch(count: int = 2) -> PairedBatch:
    hu = 30 * torch.randn(count, 1, 24, 24, generator=torch.Generator().manual_seed(3))
    return PairedBatch(hu, number=torch.arange(count))


def test_the_loss_is_the_likelihood_of_what_was_measured_less_the_noise() -> None:
    trained = method(crop=1000)  # the window is all there is
    network, (update,) = trained.network, list(trained.updates(batch()))
    measured = network.project(batch().low / 1000)
    mean, sd = network.predict(around(measured, network.reach))
    noise = network.noise(mean)
    variance = sd**2 + noise
    expected = ((variance.log() + (measured[:, 0] - mean) ** 2 / variance) / 2).mean()
    torch.testing.assert_close(update.terms["likelihood"], expected)
    torch.testing.assert_close(update.terms["noise"], -0.1 * noise.sqrt().mean())
    assert update.module == "denoiser"
    assert trained.denoiser.noise_free


def test_the_loss_of_a_batch_is_the_mean_of_its_parts() -> None:
    trained, whole = method(photons=1e4, windows=3), batch()
    parts = [PairedBatch(whole.low[n : n + 1], number=whole.number[n : n + 1]) for n in range(2)]
    one, *both = (next(trained.updates(each)).terms["likelihood"].item() for each in (whole, *parts))
    assert one == pytest.approx(sum(both) / 2, rel=1e-5)


def test_photons_have_the_mean_and_the_variance_of_the_formula_and_depend_on_the_number() -> None:
    wanted = torch.tensor([0.02, 0.3]).repeat(2, 1, 40_000, 1)
    drawn = with_photon_noise(wanted, 5000.0, torch.tensor([4, 5]))
    torch.testing.assert_close(drawn.mean(dim=2)[:, 0], wanted[:, 0, 0], rtol=5e-3, atol=0)
    variance = wanted[:, 0, 0] / 5000 + 10 / 5000**2
    torch.testing.assert_close(drawn.var(dim=2)[:, 0], variance, rtol=0.04, atol=0)
    assert torch.equal(with_photon_noise(wanted[1:], 5000.0, torch.tensor([5])), drawn[1:])
    assert not torch.equal(drawn[0], drawn[1])


def test_networks_without_projections_are_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"--network red_cnn: predicts no projections.*noise2noise_td:width=16"):
        NeighbouringProjections(Denoiser(NetworkSpec("red_cnn", {"channels": 4}), Scale()), 0, 8, 1, 0.1)


def test_published_hyperparameters() -> None:
    h = recipes.get_recipe("noise2noise_td").hyperparameters
    assert (h.learning_rate, h.batch * h.windows, h.crop, h.steps, h.noise_weight) == (1e-4, 16, 64, 100_000, 0.1)  # type: ignore[union-attr]
    with pytest.raises(InvalidSetting, match="photons"):
        replace(h, photons=-1.0)  # type: ignore[call-arg]


@pytest.mark.long
def test_it_denoises_projections_that_it_has_no_clean_twin_of() -> None:
    image = torch.from_numpy(np.array(read(CT_PAIR.full).hu[3], np.float32))[None, None]
    units, photons = functional.avg_pool2d(image, 2) / 1000, 2000.0
    trained = method(photons, crop=48, width=8, features=8, step=1)
    network = trained.network
    clean = network.project(units)
    optimiser = torch.optim.Adam(trained.parameters(), 5e-3)
    for number in range(200):
        measured = with_photon_noise(clean, photons, torch.tensor([number]))
        loss = torch.stack(list(trained.likelihood(measured, torch.tensor([number])).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    noisy = with_photon_noise(clean, photons, torch.tensor([10**6]))
    with torch.no_grad():
        denoised = network.denoise_projections(noisy)
        images = [network.reconstruct(-each.log(), (128, 128)) for each in (clean[:, 0], noisy[:, 0], denoised)]
    before, after = (float((each - images[0])[..., 4:-4, 4:-4].square().mean()) for each in images[1:])
    assert 10 * math.log10(before / after) > 2.5
