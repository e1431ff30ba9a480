"""Networks as graphs: what is rewritten computes the same, and what cannot be rewritten is left alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.infer.engines.graph import ATEN, export_graph
from lowdose.infer.engines.winograd.library import load_library
from lowdose.infer.engines.winograd.rewrite import replace_convolutions
from lowdose.network_spec import NetworkSpec

TILES = {3: 4, 5: 4}
DENOISERS = {
    "red_cnn": {"channels": 8},
    "esau_net": {"width": 8},
    "unet": {"width": 8},
    "cpce": {"slices": 5},
    "map_nn": {"channels": 8, "depth": 1},
    "du_gan": {"channels": 8},
    "res_hlf": {"channels": 8},
    "shuffle_unet": {"width": 8},
    "smgan": {"channels": 8, "slices": 3},
    "wgan_vgg": {"channels": 8},
}
needs_build = pytest.mark.skipif(load_library() is None, reason="the convolutions were not compiled here")


def lively(network: nn.Module) -> nn.Module:
    """No weight at zero, as some start: a layer that does nothing hides what is wrong behind it."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network.eval()


def images(name: str, count: int) -> Tensor:
    return torch.randn(count, DENOISERS[name].get("slices", 1), 64, 48)


def operators(graph: nn.Module) -> set[object]:
    return {node.target for node in graph.graph.nodes if node.op == "call_function"}


@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_the_graph_computes_what_the_network_does(name: str) -> None:
    network, x = lively(NetworkSpec(name, DENOISERS[name]).build()), images(name, 2)
    graph = export_graph(network, tuple(x.shape))
    with torch.no_grad():
        torch.testing.assert_close(graph(x), network(x), rtol=1e-4, atol=1e-5)
    kept = operators(graph)
    assert ATEN.linalg_vector_norm.default not in kept
    if name in ("red_cnn", "cpce"):
        assert ATEN.conv_transpose2d.input not in kept


@needs_build
@pytest.mark.parametrize("name", sorted(DENOISERS))
def test_fast_convolutions_compute_what_the_network_does(name: str) -> None:
    network, x = lively(NetworkSpec(name, DENOISERS[name]).build()), images(name, 1)
    graph = export_graph(network, tuple(x.shape))
    replaced = replace_convolutions(graph, TILES)
    with torch.no_grad():
        torch.testing.assert_close(graph(x), network(x), rtol=1e-3, atol=1e-4)
    assert replaced == sum(
        isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
        and layer.stride == (1, 1) and layer.kernel_size[0] in TILES and layer.groups == 1
        for layer in network.modules()
    )  # fmt: skip


class Odd(nn.Module):
    """Convolutions of which some cannot be replaced, and sums and activations that must not be drawn in."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(1, 8, 3, padding=1)
        self.strided = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.dilated = nn.Conv2d(8, 8, 3, dilation=2, padding=2)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.uneven = nn.Conv2d(8, 8, (3, 5), padding=(1, 2))
        self.lopsided = nn.Conv2d(8, 8, 3, padding=(1, 0))
        self.twice = nn.Conv2d(8, 8, 5, padding=2)
        self.transposed = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        self.padded = nn.ConvTranspose2d(8, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.plain(x)
        b = functional.relu(a) + a  # used twice: nothing may be fused into it
        c = self.twice(b)
        d = c + c  # a sum with itself
        e = functional.relu(self.dilated(d) + 1.0) + self.uneven(d)[:, :1]  # with a number, with another shape
        f = self.transposed(self.strided(self.grouped(e)))
        g = functional.leaky_relu(self.padded(f), -0.5)  # a slope below zero is no maximum
        h = self.lopsided(e).mean() + functional.leaky_relu(self.last(g), 2.0)
        return h + functional.relu_(self.last(g) - x)


@needs_build
def test_unsuitable_convolutions_are_left_alone() -> None:
    network, x = lively(Odd()), torch.randn(2, 1, 32, 40)
    graph = export_graph(network, (2, 1, 32, 40))
    assert replace_convolutions(graph, TILES) == 5  # plain, twice, padded and both of last
    with torch.no_grad():
        torch.testing.assert_close(graph(x), network(x), rtol=1e-3, atol=1e-4)


@needs_build
def test_in_place_activations_and_sums_are_fused_like_others() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            h = functional.relu_(self.first(x))
            y = functional.leaky_relu_(self.second(h), 0.1)
            y += h
            return functional.relu_(y)

    network, x = lively(InPlace()), torch.randn(1, 1, 20, 20)
    graph = export_graph(network, (1, 1, 20, 20))
    assert replace_convolutions(graph, TILES) == 2
    assert not operators(graph) & {ATEN.relu_.default, ATEN.leaky_relu_.default, ATEN.add_.Tensor}
    with torch.no_grad():
        torch.testing.assert_close(graph(x), network(x), rtol=1e-4, atol=1e-5)
