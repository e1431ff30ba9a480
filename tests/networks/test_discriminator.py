"""The adversary: how much of an image a patch is, its loss, and how it is weighed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lowdose.networks.discriminator import SMALLEST, adaptive_weight, hinge, patch_gan


def test_a_logit_sees_70_x_70_pixels() -> None:
    torch.manual_seed(0)
    network = patch_gan(width=4).eval()
    image = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = network(image)
    assert logits.shape == (1, 1, 14, 14)
    (seen,) = torch.autograd.grad(logits[0, 0, 7, 7], image)
    rows, columns = (seen[0, 0].abs().sum(axis).nonzero()[:, 0] for axis in (1, 0))
    assert (int(rows.min()), int(columns.min())) == (8 * 7 - 23, 8 * 7 - 23)
    assert (int(rows.max()) - int(rows.min()) + 1, int(columns.max()) - int(columns.min()) + 1) == (70, 70)


def test_it_is_the_one_of_vqgan() -> None:
    torch.manual_seed(0)
    network = patch_gan()
    convolutions = [part for part in network if isinstance(part, nn.Conv2d)]
    assert [part.out_channels for part in convolutions] == [64, 128, 256, 512, 1]
    assert [part.stride[0] for part in convolutions] == [2, 2, 2, 1, 1]
    assert [part.bias is None for part in convolutions] == [False, True, True, True, False]
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_763_585
    for part in convolutions[1:4]:
        assert float(part.weight.detach().std()) == pytest.approx(0.02, rel=0.02)


def test_from_the_smallest_image_on_there_is_a_patch() -> None:
    network = patch_gan(width=2)
    assert network(torch.randn(1, 1, SMALLEST, SMALLEST)).shape == (1, 1, 1, 1)
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.randn(1, 1, SMALLEST - 8, SMALLEST - 8))


def test_hinge_by_hand() -> None:
    assert float(hinge(torch.tensor([2.0, 1.0]), torch.tensor([-1.0, -5.0]))) == 0.0
    assert float(hinge(torch.zeros(3), torch.zeros(5))) == 1.0
    assert float(hinge(torch.tensor([0.5, 3.0]), torch.tensor([1.0]))) == 0.5 * (0.25 + 2.0)


def test_the_adaptive_weight_makes_both_losses_pull_alike() -> None:
    last = torch.tensor([3.0, -4.0], requires_grad=True)
    reconstruction, adversarial = last.square().sum(), 0.5 * last.sigmoid().sum()
    found = adaptive_weight(reconstruction, adversarial, last)
    slopes = [0.5 * math.exp(-x) / (1 + math.exp(-x)) ** 2 for x in (3.0, -4.0)]
    assert float(found) == pytest.approx(10 / math.hypot(*slopes), rel=1e-3)
    assert not found.requires_grad
    (pull,) = torch.autograd.grad(found * adversarial, last)  # the graph is still there
    assert float(pull.norm()) == pytest.approx(10.0, rel=1e-3)
    # A loss that does not move the last layer is not weighed without end.
    assert float(adaptive_weight(last.square().sum(), 0.0 * last.sum(), last)) == 1e4
    assert float(adaptive_weight(0.0 * last.sum(), last.sum(), last)) == 0.0
