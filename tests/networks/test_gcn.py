"""The graph denoiser: its formula, what it is before it has learned, and how much memory it needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.gcn import GraphDenoiser
from lowdose.networks.graph.aggregation import CHUNK, CODE, SLOPE
from lowdose.networks.graph.neighbours import nearest_neighbours

SMALL = {"width": 6, "blocks": 2, "window": 11, "neighbours": 8, "rank": 3}


def lively(beta: float, **settings: int) -> GraphDenoiser:
    torch.manual_seed(0)
    network = GraphDenoiser(**(SMALL | settings))
    nn.init.normal_(network.out.weight, std=0.3)
    for block in network.blocks:
        nn.init.constant_(block.beta, beta)
    return network


def local(layer: nn.Module, stack: Tensor) -> Tensor:
    """A convolution over pixels and slices in three dimensions: (B, S, C, H, W) -> the same."""
    convolution = layer.convolution
    depth, channels = convolution.depth, stack.shape[2]
    kernel = convolution.weight.unflatten(1, (depth, channels)).transpose(1, 2)
    whole = functional.pad(stack.transpose(1, 2), (0, 0, 0, 0, depth // 2, depth // 2), mode="replicate")
    return (functional.conv3d(whole, kernel, layer.bias.flatten(), padding=(0, 1, 1))).transpose(1, 2)


def written_out(network: GraphDenoiser, x: Tensor, graph: bool) -> Tensor:
    stack = functional.leaky_relu(local(network.first, x[:, :, None]), SLOPE)
    middle = network.slices // 2
    for block in network.blocks:
        fused = local(block.local, stack)
        if graph:
            nodes = stack.flatten(3).mT  # (B, S, N, C)
            near = nearest_neighbours(stack[:, middle], block.window, block.neighbours)
            found = torch.stack([block.intra.over(*one) for one in zip(nodes[:, middle], near, strict=True)])
            if network.slices > 1:
                others = nodes[:, [0, 2]].transpose(1, 2)
                found = found + torch.stack([
                    block.inter(own, other, block.inter.project(other))
                    for own, other in zip(nodes[:, middle], others, strict=True)
                ])  # fmt: skip
            share = torch.zeros(network.slices, 1, 1, 1)
            share[middle] = block.beta.item()
            fused = (1 - share) * fused + share * found.mT.unflatten(2, x.shape[-2:])[:, None]
        stack = stack + functional.leaky_relu(fused, SLOPE)
    return x[:, middle : middle + 1] - network.out(stack[:, middle])


@pytest.mark.parametrize("slices", [1, 3])
def test_written_out_slowly(slices: int) -> None:
    x = torch.randn(2, slices, 14, 12)
    network = lively(0.4, slices=slices)
    torch.testing.assert_close(network(x), written_out(network, x, graph=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("slices", [1, 3])
def test_with_beta_0_it_is_the_convolutional_network(slices: int) -> None:
    x = torch.randn(2, slices, 14, 12)
    network = lively(0.0, slices=slices)
    torch.testing.assert_close(network(x), written_out(network, x, graph=False), rtol=1e-4, atol=1e-5)
    assert all(not block.beta.any() for block in GraphDenoiser(**SMALL).blocks)  # as it starts


def test_the_gradient_reaches_every_weight_and_every_slice() -> None:
    network, x = lively(0.3), torch.randn(1, 3, 14, 14, requires_grad=True)
    network(x).square().mean().backward()
    assert all(parameter.grad.any() for parameter in network.parameters())
    assert all(x.grad[:, number].any() for number in range(3))
    start = lively(0.0)
    start(x).square().mean().backward()
    assert all(block.beta.grad.any() for block in start.blocks)  # so that beta leaves 0


def test_half_precision_trains() -> None:
    network = lively(0.3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.randn(1, 3, 14, 14)).float().square().mean()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


class Largest(TorchDispatchMode):
    """Number of elements of the largest tensor that any operator returns while this is entered."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = function(*args, **(kwargs or {}))
        for one in found if isinstance(found, (tuple, list)) else [found]:
            if isinstance(one, Tensor):
                self.elements = max(self.elements, one.numel())
        return found


@pytest.mark.parametrize("side", [48, 96])
def test_no_tensor_is_larger_than_a_few_numbers_for_each_pixel(side: int) -> None:
    network = lively(0.3)
    with torch.no_grad(), Largest() as largest:
        network(torch.randn(1, 3, side, side))
    per_node = SMALL["rank"] * (CODE + 1)
    slices_for_convolution = 3 * 3 * SMALL["width"]
    edges = CHUNK * SMALL["neighbours"] * per_node
    assert largest.elements <= max(max(slices_for_convolution, per_node) * (side + 2) ** 2, edges)


def test_neighbouring_slices_are_needed_and_others_refused() -> None:
    with pytest.raises(IncompatibleCheckpoint, match="slices=5: must be 1 or 3"):
        NetworkSpec("gcn", {"slices": 5}).build()
    for window in (10, 7):
        with pytest.raises(IncompatibleCheckpoint, match=f"window={window}: must be odd, and at least 9 for 8 neigh"):
            NetworkSpec("gcn", {**SMALL, "window": window}).build()


@pytest.mark.parametrize(("height", "width"), [(3, 5), (16, 9), (30, 41)])
def test_images_of_any_size_are_denoised(height: int, width: int) -> None:
    denoiser = Denoiser(NetworkSpec("gcn", SMALL), Scale(), context=1).eval()
    nn.init.normal_(denoiser.network.out.weight, std=0.3)
    hu = 100 * torch.randn(1, 3, height, width)
    clean = denoiser.denoise(hu)
    assert clean.shape == (1, 1, height, width)
    assert clean.isfinite().all()
    assert not torch.equal(clean, hu[:, 1:2])
