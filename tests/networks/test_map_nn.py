"""MAP-NN: depths that are prefixes of each other, and HU that survive its clipping."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.map_nn import MAPNN
from lowdose.training.denoisers import default_denoiser


def network(depth: int = 5, std: float = 0.05) -> MAPNN:
    torch.manual_seed(0)
    made = MAPNN(channels=4, depth=depth)
    torch.nn.init.normal_(made.unit.decode[-1].weight, std=std)
    return made.eval()


@pytest.mark.parametrize("depth", [1, 5, 9])
def test_parameters_do_not_depend_on_the_depth(depth: int) -> None:
    assert sum(p.numel() for p in NetworkSpec("map_nn", {"depth": depth}).build().parameters()) == 62_016


def test_written_out_slowly() -> None:
    made, x = network(2), torch.rand(2, 1, 12, 15)
    once = torch.minimum(torch.maximum(x + made.unit.signed(x), torch.tensor(0.0)), torch.tensor(1.0))
    twice = torch.minimum(torch.maximum(once + made.unit.signed(once), torch.tensor(0.0)), torch.tensor(1.0))
    assert torch.equal(made(x), twice)
    assert torch.equal(torch.relu(made.unit.signed(x)), made.unit(x))


def test_an_image_does_not_depend_on_how_deep_it_goes_on() -> None:
    x = torch.rand(1, 1, 16, 16)
    made, deeper = network(3), network(4)
    images = made.images(x)
    assert images[0] is x
    for k, image in enumerate(images):
        assert torch.equal(image, deeper.images(x)[k])
        made.depth = k
        assert torch.equal(made(x), image)
    assert not torch.equal(images[2], images[3])


def test_images_stay_between_0_and_1_and_an_untrained_network_leaves_them() -> None:
    x = torch.rand(1, 1, 16, 16)
    for image in network(5, std=3.0).images(x)[1:]:
        assert (image.min().item(), image.max().item()) == (0, 1)  # both ends are reached, and not passed
    assert torch.equal(MAPNN()(x), x)


def test_at_depth_0_the_result_is_the_input_exactly() -> None:
    hu = torch.from_numpy(np.random.default_rng(0).normal(40, 900, (1, 1, 40, 33)).astype(np.float32))
    denoiser = Denoiser(NetworkSpec("map_nn", {"channels": 4}), default_denoiser("map_nn").scale).eval()
    torch.nn.init.normal_(denoiser.network.unit.decode[-1].weight, std=0.05)
    assert not torch.equal(denoiser.denoise(hu), hu)
    denoiser.network.depth = 0  # type: ignore[assignment]
    assert torch.equal(denoiser.denoise(hu), hu)


def test_its_range_is_0_to_1() -> None:
    scale = default_denoiser("map_nn").scale
    assert scale.encode(torch.tensor([scale.low, scale.high])).tolist() == [0, 1]
