"""LEDA's Eq. 3 as written, and what must hold of it: who learns, who never does, and in which unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.supervised import Supervised
from lowdose.network_spec import NetworkSpec, network_names
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.leda import Leda
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from support.tiny_word_autoencoder import CHANNELS, WORDS, Tiny, hash_of


def images(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    full = torch.rand(*shape, generator=rng)
    return full + 0.3 * torch.randn(*shape, generator=rng), full


def real() -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder("small", nn.functional.normalize(torch.randn(WORDS, CHANNELS), dim=1), layers=1)


@pytest.mark.parametrize("make", [Tiny, real])
def test_equation_3_written_out_slowly(make: type[Tiny]) -> None:
    autoencoder = make()
    pred, target = images(2, 1, 16, 32)
    found = Leda(autoencoder, 1.0, 1.0).terms(pred, target)
    z, wanted = autoencoder.encode(pred), autoencoder.encode(target)
    read, words = autoencoder.quantise(z).embedding, autoencoder.quantise(wanted).embedding
    slow = {"leda_continuous": (z, wanted), "leda_discrete": (read, words)}
    assert list(found) == list(slow)
    for name, (a, b) in slow.items():
        differences = [(float(x) - float(y)) ** 2 for x, y in zip(a.flatten(), b.flatten(), strict=True)]
        assert float(found[name].detach()) == pytest.approx(sum(differences) / len(differences), rel=1e-4)
        assert float(found[name].detach()) > 0
    total = (MSE() + 0.5 * Leda(autoencoder))(pred, target)
    torch.testing.assert_close(total, ((pred - target) ** 2).mean() + 0.5 * sum(found.values()))


@pytest.mark.parametrize("make", [Tiny, real])
def test_zero_at_identity(make: type[Tiny]) -> None:
    _, target = images(1, 1, 36, 20)
    for mode in (True, False):
        found = Leda(make()).train(mode).terms(target.clone().requires_grad_(), target)
        assert [float(value.detach()) for value in found.values()] == [0.0, 0.0]


def test_each_term_can_be_switched_off_and_weighed() -> None:
    pred, target = images(1, 1, 32, 32)
    both = Leda(Tiny()).terms(pred, target)
    for continuous, discrete, names in ((1, 0, ["leda_continuous"]), (0, 1, ["leda_discrete"]), (3, 2, list(both))):
        found = Leda(Tiny(), continuous, discrete).terms(pred, target)
        assert list(found) == names
        for name, weight in (("leda_continuous", continuous), ("leda_discrete", discrete)):
            if weight:
                torch.testing.assert_close(found[name], weight * both[name])
    for wrong in ((0, 0), (-1, 1), (1, float("nan")), (float("inf"), 0)):
        with pytest.raises(InvalidSetting):
            Leda(Tiny(), *wrong)


def test_what_is_switched_off_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    leda = Leda(Tiny(), discrete=0.0)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Tiny, "quantise", never)
    assert leda.terms(*images(1, 1, 16, 16))


@pytest.mark.parametrize("make", [Tiny, real])
def test_gradient_of_the_discrete_term_passes_the_quantiser_as_if_it_were_not_there(make: type[Tiny]) -> None:
    autoencoder = make()
    leda = Leda(autoencoder, continuous=0.0)
    pred, target = images(1, 1, 32, 32)
    pred.requires_grad_()
    (found,) = torch.autograd.grad(leda(pred, target), pred)
    latents = autoencoder.encode(pred)
    read = autoencoder.quantise(latents.detach()).embedding
    words = autoencoder.quantise(autoencoder.encode(target)).embedding
    (wanted,) = torch.autograd.grad(latents, pred, 2 * (read - words) / words.numel())
    assert bool(found.abs().max() > 0)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("make", [Tiny, real])
def test_only_the_denoiser_learns(make: type[Tiny]) -> None:
    autoencoder = make()
    before = hash_of(autoencoder)
    method = Supervised(
        Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale()), MSE() + 0.5 * Leda(autoencoder)
    )
    method.train()
    assert not any(module.training for module in autoencoder.modules())
    full = OBJECTIVE.decode(images(2, 1, 32, 32)[1])
    (turn,) = method.updates(PairedBatch(full + 100 * torch.randn_like(full), full))
    assert list(turn.terms) == ["mse", "leda_continuous", "leda_discrete"]
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    sum(turn.terms.values()).backward()
    assert all(parameter.grad is None for parameter in autoencoder.parameters())
    assert any(bool(parameter.grad.any()) for parameter in method.denoiser.parameters() if parameter.grad is not None)
    optimiser.step()
    assert hash_of(autoencoder) == before
    assert not [
        name for module in method.checkpointed_modules().values() for name in module.state_dict() if "encoder" in name
    ]
    assert {parameter.device.type for parameter in method.to("meta").parameters()} == {"meta"}
    assert autoencoder.quantiser.codebook.device.type == "meta"


def test_a_learned_codebook_is_frozen_here_too() -> None:
    autoencoder = Autoencoder("small", torch.randn(WORDS, CHANNELS), layers=1, learned=True)
    Leda(autoencoder)
    assert not any(parameter.requires_grad for parameter in autoencoder.parameters())


@pytest.mark.parametrize("name", network_names())
def test_any_denoiser_learns_from_it_unchanged(name: str) -> None:
    torch.manual_seed(0)
    leda, small = Leda(Tiny()), {"channels": 4, "width": 8, "levels": 2}
    network = default_denoiser(name).network
    spec = NetworkSpec(name, {key: small.get(key, usual) for key, usual in network.settings.items()})
    slices = int(spec.settings.get("slices", 1))
    method = Supervised(Denoiser(spec, default_denoiser(name).scale, slices // 2), leda)
    full = OBJECTIVE.decode(images(1, 1, 32, 32)[1])
    (turn,) = method.updates(PairedBatch(full + 100 * torch.randn(1, slices, 32, 32), full))
    sum(turn.terms.values()).backward()
    for parameter in method.denoiser.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
    assert any(bool(parameter.grad.any()) for parameter in method.denoiser.parameters())


def test_the_weight_means_the_same_whatever_the_scale_of_the_denoiser() -> None:
    # An untrained U-Net returns its input, so the images are the same and only their units inside differ.
    full = OBJECTIVE.decode(0.2 + 0.5 * images(1, 1, 32, 32)[1])
    low = full + 30.0
    found = []
    for scale in (Scale(), Scale(zero=-1150, one=2000), Scale(zero=300, one=-700)):
        method = Supervised(Denoiser(NetworkSpec("unet", {"width": 2, "levels": 2}), scale), MSE() + 0.5 * Leda(Tiny()))
        (turn,) = method.updates(PairedBatch(low, full))
        found.append(torch.stack(list(turn.terms.values())).detach())
    wanted = torch.stack(list((0.5 * Leda(Tiny())).terms(OBJECTIVE.encode(low), OBJECTIVE.encode(full)).values()))
    for one in found:
        torch.testing.assert_close(one, found[0], rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(one[1:], wanted, rtol=1e-3, atol=1e-9)
        assert float(one[0]) == pytest.approx((30 / 3000) ** 2, rel=1e-3)


@settings(deadline=None)
@given(st.integers(16, 40), st.integers(16, 40))
def test_sides_that_do_not_divide_are_mirrored_and_nothing_is_cropped(height: int, width: int) -> None:
    pred, target = images(1, 1, height, width)
    pads = ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4))
    mirrored = [torch.from_numpy(np.pad(image.numpy(), pads, mode="reflect")) for image in (pred, target)]
    leda = Leda(Tiny())
    found, wanted = leda.terms(pred, target), leda.terms(*mirrored)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
    # The last pixel counts: cropping would leave it out.
    touched = pred.clone()
    touched[..., -1, -1] += 1.0
    assert leda.terms(touched, target)["leda_continuous"] != found["leda_continuous"]


def test_images_too_small_for_the_pyramid_are_refused() -> None:
    leda = Leda(Tiny())
    assert leda.smallest == (MSE() + leda).smallest == 16
    with pytest.raises(InvalidSetting, match="15 x 40 pixels: LEDA needs at least 16 a side"):
        leda.terms(*images(1, 1, 15, 40))
    # Latents alone have no pyramid.
    alone = Leda(Tiny(), discrete=0.0)
    assert alone.smallest == 4
    assert alone.terms(*images(1, 1, 4, 7))


def test_under_autocast_errors_are_taken_in_float32() -> None:
    pred, target = images(1, 1, 64, 64)
    exact = Leda(Tiny()).terms(pred, target)
    with torch.autocast("cpu", torch.bfloat16):
        leda = Leda(Tiny())
        rough, same = leda.terms(pred, target), leda.terms(target.clone(), target)
    for name, value in exact.items():
        assert rough[name].dtype == torch.float32
        assert float(rough[name]) == pytest.approx(float(value), rel=0.1)
        assert float(same[name]) == 0.0


def test_it_says_which_autoencoder_it_looks_with() -> None:
    assert dict((MSE() + 0.5 * Leda(Tiny(), source="abc")).fingerprint()) == {"autoencoder": "abc"}
    assert dict(MSE().fingerprint()) == {}
    method = Supervised(Denoiser(NetworkSpec("unet", {"width": 2, "levels": 2}), Scale()), Leda(Tiny(), source="abc"))
    assert dict(method.fingerprint()) == {"autoencoder": "abc"}
    with pytest.raises(ValueError, match="autoencoder"):
        (Leda(Tiny(), source="abc") + Leda(Tiny(), source="def")).fingerprint()
