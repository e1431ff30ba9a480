"""Noise2NoiseTD: what a projection is predicted from, noise and posterior in closed form, and the way to a slice."""

from __future__ import annotations

import math

import pytest
import torch

from lowdose.errors import IncompatibleCheckpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.noise2noise_td import PACE, Noise2NoiseTD, NoiseModel, around, posterior

SMALL = {"width": 4, "features": 4}


def network(**settings: int) -> Noise2NoiseTD:
    """A network whose last layer is not zero, so that everything it sees has an effect."""
    torch.manual_seed(0)
    made = Noise2NoiseTD(**{**SMALL, **settings})
    torch.nn.init.normal_(made.combine[-1].weight, std=0.3)  # type: ignore[arg-type]
    return made


def transmissions(views: int, detectors: int = 12, slices: int = 1) -> torch.Tensor:
    return 0.1 + 0.8 * torch.rand(1, slices, views, detectors, generator=torch.Generator().manual_seed(1))


def test_size_of_the_paper() -> None:
    whole = Noise2NoiseTD()
    noise = sum(parameter.numel() for parameter in whole.noise.parameters())
    assert sum(parameter.numel() for parameter in whole.parameters()) - noise == 181_988
    assert noise == 747 - 10  # without the paper's ten parameters for the tube current


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("slices", [1, 3])
def test_a_projection_never_enters_its_own_prediction(step: int, slices: int) -> None:
    model = network(step=step, slices=slices)
    measured = transmissions(2 * model.reach + 1, slices=slices).requires_grad_()
    mean, sd = model.predict(measured)
    assert mean.shape == sd.shape == (1, 1, 12)
    gradient = torch.autograd.grad(mean.sum() + sd.sum(), measured)[0]
    seen = gradient.abs().sum(dim=(0, 1, 3)) > 0
    offsets = [place - model.reach for place in seen.nonzero()[:, 0].tolist()]
    assert offsets == [step * n for n in (-3, -2, -1, 1, 2, 3)]
    changed = measured.detach().clone()
    changed[:, :, model.reach] = 0.5
    assert torch.equal(model.predict(changed)[0], mean)
    assert torch.equal(model.predict(changed)[1], sd)


def test_a_window_is_predicted_as_in_the_whole() -> None:
    model = network()
    model.excite = torch.nn.Sequential(torch.nn.Linear(6, 6))  # type: ignore[assignment]
    torch.nn.init.zeros_(model.excite[0].weight)  # weights of whole projections depend on all columns
    whole = transmissions(30, 24)
    mean, _ = model.predict(whole)
    part, _ = model.predict(whole[:, :, 5:25])
    torch.testing.assert_close(part, mean[:, 5:13])


def test_variance_of_the_noise_in_closed_form() -> None:
    model = NoiseModel(6, photons=2e4, electronic=12.0)
    mean = torch.rand(2, 3, 6)
    torch.testing.assert_close(model(mean), mean / 2e4 + (12 / 2e4) ** 2, rtol=1e-4, atol=0)
    with torch.no_grad():
        model.log_photons[0] = math.log(1e3) / PACE
    found = model(torch.ones(1, 1, 10))[0, 0]  # two columns on each side are not known
    torch.testing.assert_close(found[:3], torch.full((3,), 1e-3 + 1.44e-4), rtol=1e-4, atol=0)
    torch.testing.assert_close(found[3:], torch.full((7,), 5e-5 + 3.6e-7), rtol=1e-4, atol=0)
    torch.testing.assert_close(model(torch.ones(1, 1, 4), torch.tensor([4]), 10)[0, 0], found[4:8])


def test_the_posterior_goes_to_what_is_certain() -> None:
    mean, measured, one = torch.tensor(0.3), torch.tensor(0.5), torch.tensor(1.0)
    assert posterior(mean, one, measured, 0 * one) == measured
    assert posterior(mean, 0 * one, measured, one) == mean
    assert float(posterior(mean, one, measured, one)) == pytest.approx(0.4)


def test_half_a_turn_goes_on_mirrored() -> None:
    model = network(views=60, columns=40)
    image = torch.zeros(1, 1, 31, 31)
    image[..., 4:9, 20:26] = 0.5
    views = model.count_views((31, 31))
    projections = model.project(image)[0, 0].log()
    # A spot off the axis moves on by less than a pixel from the last view to the first of the next half turn.
    centre = (projections * torch.arange(projections.shape[1])).sum(1) / projections.sum(1)
    both = around(projections, 3)
    moved = (both * torch.arange(projections.shape[1])).sum(1) / both.sum(1)
    torch.testing.assert_close(moved[3 : 3 + views], centre)
    assert moved.diff().abs().max() < 1.5 * centre.diff().abs().max()


def test_it_adds_what_it_changes_in_the_projections() -> None:
    model = network()
    x = 0.05 * torch.randn(1, 1, 24, 30)
    with torch.no_grad():
        measured = model.project(x)
        change = measured[:, 0].log() - model.denoise_projections(measured).log()
        assert change.abs().max() > 0
        torch.testing.assert_close(model(x), x + model.reconstruct(change, (24, 30)))
        torch.testing.assert_close(model.reconstruct(-measured[:, 0].log(), (24, 30))[..., 8:-8, 8:-8].mean(),
                                   1 + x[..., 8:-8, 8:-8].mean(), atol=0.02, rtol=0)  # fmt: skip


def test_a_measurement_without_noise_is_left_as_it_is() -> None:
    model = network()
    with torch.no_grad():
        model.noise.log_photons.fill_(math.log(1e15) / PACE)
    x = 0.05 * torch.randn(1, 1, 24, 30)
    torch.testing.assert_close(model(x), x, atol=1e-4, rtol=0)


def test_an_even_number_of_slices_is_refused() -> None:
    with pytest.raises(IncompatibleCheckpoint, match="slices=2: must be odd"):
        NetworkSpec("noise2noise_td", {"slices": 2}).build()
