"""Learning from neighbouring slices: which are targets, what is left out, and that full dose is not looked at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.hounsfield import Scale
from lowdose.methods.similar_slices import SimilarSlices
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser


def method(slices: int = 1) -> SimilarSlices:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2, "slices": slices}), Scale(), slices // 2)
    nn.init.normal_(denoiser.network.out.weight, std=0.2)
    return SimilarSlices(denoiser, weight=10.0)


def loss(trained: SimilarSlices, low: Tensor, numbers: Tensor | None = None) -> Tensor:
    numbers = torch.arange(len(low)) if numbers is None else numbers
    (update,) = trained.updates(PairedBatch(low, number=numbers))
    assert update.module == "denoiser"
    return update.terms["similar"]


@pytest.mark.parametrize(("slices", "places"), [(1, {0, 1, 3, 4}), (3, {0, 4}), (5, {0, 6})])
def test_targets_are_slices_that_the_denoiser_does_not_see(slices: int, places: set[int]) -> None:
    trained = method(slices)
    stack = torch.arange(2.0 * trained.neighbours + 1).view(1, -1, 1, 1).expand(40, -1, 8, 8)
    found = trained._targets(stack, torch.arange(40))
    assert found.shape == (40, 1, 8, 8)
    counts = found[:, 0, 0, 0].int().bincount(minlength=7).tolist()
    assert {place for place, count in enumerate(counts) if count} == places
    assert max(counts) - min(counts[place] for place in places) <= 4
    assert trained.denoiser.noise_free


def test_the_loss_is_the_mean_absolute_error_in_similar_pixels() -> None:
    trained = method()
    low = torch.zeros(1, 5, 16, 16) + torch.randn(5, 16, 16)
    low[:, [0, 1, 3, 4], :, :8] += 100.0  # another organ on the left of all neighbours
    means = functional.avg_pool2d(trained._targets(low, torch.zeros(1)) - low[:, 2:3], 7, 1, 3, count_include_pad=False)
    kept = means.abs() <= 30
    assert 0.4 < kept.float().mean() < 0.6
    denoised = trained.denoiser.scale.decode(trained.denoiser(trained.denoiser.scale.encode(low[:, 2:3])))
    error = (denoised - trained._targets(low, torch.zeros(1))).abs()[kept].sum() / 256 / 3000
    torch.testing.assert_close(loss(trained, low, torch.zeros(1)), 10 * error)


def test_missing_neighbours_teach_nothing() -> None:
    alone = torch.randn(2, 1, 16, 16).expand(-1, 5, -1, -1)
    trained = method()
    assert loss(trained, alone) == 0
    loss(trained, alone).backward()
    assert all(not parameter.grad.any() for parameter in trained.denoiser.parameters())


@pytest.mark.slow
def test_independent_noise_is_taken_out() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 8, "levels": 3}), Scale())
    trained, generator = SimilarSlices(denoiser, weight=10.0), torch.Generator().manual_seed(3)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=5e-4, betas=(0.1, 0.99))  # those of the recipe
    for step in range(200):
        optimiser.zero_grad()
        loss(trained, 40 + 20 * torch.randn(4, 5, 32, 32, generator=generator), 4 * step + torch.arange(4)).backward()
        optimiser.step()
    low = 40 + 20 * torch.randn(4, 1, 32, 32, generator=generator)
    with torch.no_grad():
        clean = denoiser.scale.decode(denoiser(denoiser.scale.encode(low)))
    assert clean.std() < 0.6 * low.std()  # the mean is still off by a few HU, which ``Denoiser.denoise`` takes out
