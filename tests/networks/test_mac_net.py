"""MAC-Net: its size, what its two maps see of each other's layers, and sizes of images."""

from __future__ import annotations

import pytest
import torch

from lowdose.networks.mac_net import MACNet, predictor


def count(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_the_published_size_but_for_layers_that_nothing_passes_through() -> None:
    network = MACNet()
    # A decoder level from 1024 over 512 to 256 channels, with batch normalisation, and a 1x1 convolution to the image.
    unused = 9 * (1024 * 512 + 512 * 256) + 2 * (512 + 256) + (64 + 1)
    assert count(network.down, network.up) == 7_822_016 == 13_721_857 - unused
    assert count(network.project_global) == 512 * 1024 + 1024 + 2 * 1024 + 1024 * 256 + 256
    assert count(network.project_local) == 64 * 256 + 256 + 256 * 256 + 256
    assert count(predictor()) == 256 * 1024 + 1024 + 2 * 1024 + 1024 * 256 + 256
    assert count(MACNet(16).down, MACNet(16).up) < count(network.down, network.up) / 15


def test_each_map_has_layers_of_its_own() -> None:
    network = MACNet(4)
    deep, local = network(torch.rand(2, 1, 48, 64))
    assert (deep.shape, local.shape) == ((2, 32, 3, 4), (2, 4, 48, 64))
    weights = [network.down[4][0].weight, network.up[0][0].weight, network.down[3][0].weight]
    for map_, reached in ((deep, [True, False, True]), (local, [False, True, True])):
        gradients = torch.autograd.grad(map_.square().sum(), weights, allow_unused=True, retain_graph=True)
        assert [gradient is not None for gradient in gradients] == reached


def test_sides_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        MACNet(2)(torch.rand(1, 1, 40, 48))
