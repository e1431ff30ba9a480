"""The U-Net discriminator: its size, a score for each image and each pixel, and layers of spectral norm 1."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from lowdose.networks.unet_discriminator import UNetDiscriminator


def small(levels: int = 3) -> UNetDiscriminator:
    torch.manual_seed(0)
    return UNetDiscriminator(width=4, levels=levels)


def test_parameter_count_of_the_release() -> None:
    with torch.device("meta"):
        network = UNetDiscriminator()
    assert sum(p.numel() for p in network.parameters()) == 57_213_839


@pytest.mark.parametrize(("levels", "height", "width"), [(1, 2, 4), (3, 8, 8), (3, 24, 40), (6, 64, 64)])
def test_a_score_for_each_image_and_each_pixel(levels: int, height: int, width: int) -> None:
    scores, pixels = UNetDiscriminator(2, levels)(torch.rand(3, 1, height, width))
    assert scores.shape == (3, 1)
    assert pixels.shape == (3, 1, height, width)


def test_scores_depend_on_their_own_image_only() -> None:
    network, x = small().eval(), torch.rand(2, 1, 16, 16)
    for whole, alone in zip(network(x), network(x[:1]), strict=True):
        torch.testing.assert_close(whole[:1], alone)


def test_layers_between_many_channels_have_spectral_norm_1_and_the_others_none() -> None:
    network = small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(50)
        for _ in range(100):
            network(torch.rand(1, 1, 8, 8))  # each pass improves the estimate
    network.eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    normed = [layer for layer in layers if parametrize.is_parametrized(layer)]
    assert len(layers) - len(normed) == sum(min(layer.in_channels, layer.out_channels) == 1 for layer in layers) > 0
    for layer in normed:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_evaluation_leaves_every_byte_alone_and_a_pass_in_training_refines_the_estimates() -> None:
    network, x = small(), torch.rand(1, 1, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()(x)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.train()(x)
    changed = {
        name.rpartition(".")[2] for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"_u", "_v"}


def test_under_autocast_it_scores_as_in_full_precision() -> None:
    network, x = small().eval(), torch.rand(2, 1, 16, 16)
    exact = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x)
    for a, b in zip(rough, exact, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.05, atol=1e-3)
