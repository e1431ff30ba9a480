"""WIA-LD2ND: noise on wavelets as it was asked for, and a loss of feature maps that is felt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import Scale
from lowdose.methods.wavelet_alignment import MOMENTUM, WaveletAlignment, add_wavelet_noise
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.haar import haar
from lowdose.objectives.pixel import MSE

SDS = (25.0, 50.0, 50.0, 25.0)


def method(slices: int = 1, weight: float = 0.5) -> WaveletAlignment:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2, "slices": slices}), Scale(), slices // 2)
    nn.init.normal_(denoiser.network.out.weight, std=0.2)
    return WaveletAlignment(denoiser, MSE(), weight, SDS, width=4)


def a_batch(slices: int = 1) -> PairedBatch:
    full = 100 * torch.randn(2, slices, 32, 32, generator=torch.Generator().manual_seed(5))
    return PairedBatch(torch.full_like(full, torch.nan), full[:, slices // 2, None], full_context=full,
                       number=torch.tensor([7, 8]))  # fmt: skip


@pytest.mark.parametrize("sds", [SDS, (0.0, 40.0, 10.0, 5.0), (30.0, 0.0, 0.0, 0.0)])
def test_every_sub_band_has_its_noise_and_one_without_is_untouched(sds: tuple[float, ...]) -> None:
    hu = 200 * torch.randn(3, 2, 128, 128)
    added = haar(add_wavelet_noise(hu, sds, torch.arange(3))) - haar(hu)
    found = added.std(dim=(0, 1, 3, 4))
    for band, sd in enumerate(sds):
        assert found[band].item() == pytest.approx(sd, rel=0.03, abs=1e-3)
    assert added.mean().abs() < 1
    if sds == SDS:
        energy = found.square()
        assert (energy[1:].sum() / energy[0]).item() == pytest.approx((2 * 50**2 + 25**2) / 25**2, rel=0.05)


def test_the_strength_of_each_patch_lies_between_the_least_and_the_stated() -> None:
    found = add_wavelet_noise(torch.zeros(400, 1, 32, 32), SDS, torch.arange(400), 0.2).std(dim=(1, 2, 3))
    stated = torch.tensor(SDS).square().mean().sqrt()
    shares = (found / stated).sort().values
    torch.testing.assert_close(shares, torch.linspace(0.2, 1, 400), atol=0.05, rtol=0)


def test_noise_depends_on_the_number_of_the_patch_alone() -> None:
    hu = torch.zeros(2, 1, 16, 16)
    both = add_wavelet_noise(hu, SDS, torch.tensor([4, 9]))
    assert torch.equal(both[1:], add_wavelet_noise(hu[1:], SDS, torch.tensor([9])))
    assert not torch.equal(both[0], both[1])


def test_the_distance_is_0_at_identity_and_is_felt_elsewhere() -> None:
    trained, images = method(), torch.rand(2, 1, 32, 32)
    assert [value.item() for value in trained.distance(images, images).values()] == [0, 0]
    pred = (images + 0.05 * torch.randn_like(images)).requires_grad_()
    for value in trained.distance(pred, images).values():
        (slope,) = torch.autograd.grad(value, pred, retain_graph=True)
        assert value > 0
        assert slope.abs().mean() > 0
    smooth = trained.distance(images + 0.2 * torch.linspace(0, 1, 32), images)
    rough = trained.distance(images + 0.2 * (torch.arange(32.0) % 2), images)
    assert smooth["low_frequency"] / smooth["high_frequency"] > rough["low_frequency"] / rough["high_frequency"]


@pytest.mark.parametrize("slices", [1, 3])
def test_turns_and_what_they_learn_from(slices: int) -> None:
    # The low dose of the batch is NaN: it is not looked at.
    trained, batch = method(slices), a_batch(slices)
    before = [parameter.clone() for parameter in trained.target.parameters()]
    turns = trained.updates(batch)
    encoder = next(turns)
    assert (encoder.module, set(encoder.terms)) == ("encoder", {"low_frequency", "high_frequency"})
    sum(encoder.terms.values()).backward()
    assert all(parameter.grad is None for parameter in trained.denoiser.parameters())
    with torch.no_grad():
        for parameter in trained.encoder.parameters():
            parameter += 1.0
    denoiser = next(turns)
    assert (denoiser.module, set(denoiser.terms)) == ("denoiser", {"mse", "low_frequency", "high_frequency"})
    for ours, old, theirs in zip(trained.target.parameters(), before, trained.encoder.parameters(), strict=True):
        torch.testing.assert_close(ours, MOMENTUM * old + (1 - MOMENTUM) * theirs)
    for value in denoiser.terms.values():
        (slope,) = torch.autograd.grad(value, [trained.denoiser.network.out.weight], retain_graph=True)
        assert slope.any()


def test_without_the_weight_there_is_no_encoder() -> None:
    trained = method(weight=0.0)
    assert set(trained.trained_modules()) == set(trained.checkpointed_modules()) == {"denoiser"}
    assert [set(update.terms) for update in trained.updates(a_batch())] == [{"mse"}]


def test_maps_cannot_become_constant() -> None:
    images: Tensor = torch.rand(2, 1, 32, 32)
    for map_ in method().encoder(images):
        torch.testing.assert_close(map_.var(dim=(2, 3), correction=0), torch.ones(map_.shape[:2]), rtol=0.05, atol=0)
