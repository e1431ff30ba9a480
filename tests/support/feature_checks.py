"""What must hold of any features, whoever made them: each check takes frozen features and images of a fitting size."""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.features.base import FrozenFeatures


def state_of(module: nn.Module) -> str:
    """SHA-256 of every parameter and buffer, by name."""
    digest = hashlib.sha256()
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def images(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """(count, 1, height, width), as a slice in the unit of ``OBJECTIVE``: 0.33 is water."""
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.1


def perceptual(features: FrozenFeatures, pred: Tensor, target: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = features(target)
    return torch.stack([functional.mse_loss(value, wanted[name]) for name, value in features(pred).items()]).sum()


def check_training_moves_only_the_denoiser(features: FrozenFeatures, height: int, width: int) -> None:
    """Two real steps, with every parameter of the whole in the optimiser and the whole in training mode."""
    torch.manual_seed(0)
    denoiser = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    whole = nn.ModuleDict({"denoiser": denoiser, "features": features})
    before, denoiser_before = state_of(features), state_of(denoiser)
    optimiser = torch.optim.AdamW(whole.parameters(), lr=1e-2, weight_decay=0.1)
    noisy, clean = images(2, height, width, 1), images(2, height, width, 2)
    for _ in range(2):
        whole.train()
        optimiser.zero_grad()
        perceptual(features, noisy + denoiser(noisy), clean).backward()
        optimiser.step()
    assert denoiser.training
    assert not any(module.training for module in features.modules())
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert all(parameter.grad is None for parameter in features.parameters())
    assert state_of(features) == before
    assert state_of(denoiser) != denoiser_before


def check_gradient_reaches_the_image(features: FrozenFeatures, height: int, width: int) -> None:
    image = images(1, height, width, 1).requires_grad_(True)
    perceptual(features, image, images(1, height, width, 2)).backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.any()


def check_images_of_a_batch_do_not_see_each_other(features: FrozenFeatures, height: int, width: int) -> None:
    pair = images(2, height, width)
    together = features(pair)
    for number in range(2):
        for name, value in features(pair[number : number + 1]).items():
            torch.testing.assert_close(value[0], together[name][number], atol=1e-4, rtol=1e-3)


def check_layout_and_type_of_the_image_do_not_matter(features: FrozenFeatures, height: int, width: int) -> None:
    image = images(1, height, width)
    turned = image.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    double, half = features(image.double()), features(image.bfloat16())
    for name, value in features(image).items():
        assert value.dtype == double[name].dtype == half[name].dtype == torch.float32
        torch.testing.assert_close(features(turned)[name], value, atol=1e-4, rtol=1e-3)
        assert torch.equal(double[name], value)


def check_autocast(features: FrozenFeatures, height: int, width: int) -> None:
    image = images(1, height, width).requires_grad_(True)
    exact = features(image.detach())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = features(image)
    torch.stack([value.float().square().mean() for value in maps.values()]).sum().backward()
    assert image.grad is not None
    assert image.grad.dtype == torch.float32
    assert image.grad.isfinite().all()
    for name, value in maps.items():
        error = (value.float() - exact[name]).square().mean().sqrt() / exact[name].square().mean().sqrt()
        assert 0 < error < 0.1


def check_moves_whole(features: FrozenFeatures, height: int, width: int) -> None:
    """On a device that computes nothing: any tensor left behind on the CPU raises."""
    moved = copy.deepcopy(features).to("meta")
    maps = moved(torch.empty(1, 1, height, width, device="meta"))
    assert {value.device.type for value in maps.values()} == {"meta"}
    assert {name: value.shape for name, value in maps.items()} == {
        name: value.shape for name, value in features(images(1, height, width)).items()
    }


CHECKS = (
    check_training_moves_only_the_denoiser,
    check_gradient_reaches_the_image,
    check_images_of_a_batch_do_not_see_each_other,
    check_layout_and_type_of_the_image_do_not_matter,
    check_autocast,
    check_moves_whole,
)
