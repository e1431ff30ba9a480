"""The perceptual loss: Johnson's formula, nothing at identity, and features that never learn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_features
from lowdose.objectives.perceptual import Perceptual
from lowdose.objectives.pixel import MSE
from support.tiny_word_autoencoder import hash_of


class Two(FrozenFeatures):
    """Layers of different sizes: the image by 2, and its halves by 3."""

    def __init__(self) -> None:
        network = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(network.weight, 2.0)
        super().__init__("two", network, 2)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        return {"fine": self.network(image), "coarse": 3 * nn.functional.avg_pool2d(image, 2).expand(-1, 4, -1, -1)}


def test_closed_form() -> None:
    target = torch.rand(2, 1, 8, 8)
    found = Perceptual(Two()).terms(target + 0.1, target)
    # (2 * 0.1)^2 and (3 * 0.1)^2 as shares of the target's mean squares, so that the factors 2 and 3 drop out.
    coarse = nn.functional.avg_pool2d(target, 2)
    shares = [0.01 / float(image.square().mean()) for image in (target, coarse)]
    assert float(found["perceptual"]) == pytest.approx(sum(shares) / 2, rel=1e-4)


@pytest.mark.parametrize("name", ["anatomy", "anatomy-random", "vgg16-random"])
def test_zero_at_identity_and_only_the_prediction_gets_a_gradient(name: str) -> None:
    features = load_features(name)
    before = hash_of(features)
    loss = MSE() + 0.1 * Perceptual(features, source="these")
    loss.train()
    target = torch.rand(1, 1, 48, 40, generator=torch.Generator().manual_seed(0))
    assert float(loss(target.clone(), target)) == 0.0
    pred = (target + 0.05).requires_grad_()
    loss(pred, target).backward()
    assert pred.grad is not None
    assert bool(pred.grad.isfinite().all())
    assert bool(pred.grad.any())
    assert all(parameter.grad is None for parameter in features.parameters())
    assert hash_of(features) == before
    assert not any(module.training for module in features.modules())
    assert dict(loss.fingerprint()) == {"features": "these"}
    assert loss.smallest == features.smallest


def test_under_autocast_it_stays_in_float32() -> None:
    target = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    loss = Perceptual(load_features("anatomy-random"))
    exact = loss(target + 0.1 * target.flip(-1), target)
    with torch.autocast("cpu", torch.bfloat16):
        rough = loss(target + 0.1 * target.flip(-1), target)
    assert rough.dtype == torch.float32
    assert float(rough) == pytest.approx(float(exact), rel=0.2)
