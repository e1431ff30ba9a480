"""CPCE: the published count of parameters, its wiring written out, the transfer to three dimensions, no dead start."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowdose.network_spec import NetworkSpec
from lowdose.networks.cpce import CPCE
from lowdose.networks.neighbours import load_weights_of_fewer_slices


def test_parameter_count_and_no_bias() -> None:
    network = NetworkSpec("cpce").build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 62_016
    assert not [name for name, _ in network.named_parameters() if "bias" in name]
    assert not network(torch.zeros(1, 1, 16, 16)).any()


def test_written_out_slowly() -> None:
    torch.manual_seed(1)
    network = CPCE(channels=3)
    w, d, j = [layer.weight for layer in network.encode], list(network.decode), list(network.join)
    x = torch.rand(1, 1, 15, 12)
    c1 = functional.conv2d(x, w[0]).relu()
    c2 = functional.conv2d(c1, w[1]).relu()
    c3 = functional.conv2d(c2, w[2]).relu()
    c4 = functional.conv2d(c3, w[3]).relu()
    d1 = j[0](torch.cat([c3, d[0](c4)], 1).relu()).relu()
    d2 = j[1](torch.cat([c2, d[1](d1)], 1).relu()).relu()
    d3 = j[2](torch.cat([c1, d[2](d2)], 1).relu()).relu()
    assert torch.equal(network(x), d[3](d3).relu())


def kernel_3d(layer: torch.nn.Module) -> torch.Tensor:
    """The kernel as (filters, channels, depth, 3, 3)."""
    depth = layer.depth
    return layer.weight.unflatten(1, (depth, -1)).transpose(1, 2)


def test_seven_slices_written_out_with_kernels_of_three_dimensions() -> None:
    torch.manual_seed(1)
    network = CPCE(channels=3, slices=7)
    k, d, j = [kernel_3d(layer) for layer in network.encode], list(network.decode), list(network.join)
    assert [tuple(each.shape[2:]) for each in k] == [(3, 3, 3), (3, 3, 3), (3, 3, 3), (1, 3, 3)]
    x = torch.rand(2, 7, 15, 12)
    c1 = functional.conv3d(x[:, None], k[0]).relu()
    c2 = functional.conv3d(c1, k[1]).relu()
    c3 = functional.conv3d(c2, k[2]).relu()
    c4 = functional.conv3d(c3, k[3]).relu()
    assert [each.shape[2] for each in (c1, c2, c3, c4)] == [5, 3, 1, 1]
    d1 = j[0](torch.cat([c3[:, :, 0], d[0](c4[:, :, 0]).relu()], 1).relu()).relu()
    d2 = j[1](torch.cat([c2[:, :, 1], d[1](d1).relu()], 1)).relu()
    d3 = j[2](torch.cat([c1[:, :, 2], d[2](d2).relu()], 1)).relu()
    torch.testing.assert_close(network(x), d[3](d3).relu())


def small_numbers(network: CPCE) -> CPCE:
    """Weights -1, 0 and 1, with which the sums of whole numbers are exact in any order."""
    generator = torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        parameter.data = torch.randint(-1, 2, parameter.shape, generator=generator).float()
    return network


@pytest.mark.parametrize(("before", "after"), [(1, 3), (1, 5), (1, 7), (1, 9), (3, 9)])
def test_right_after_the_transfer_both_are_equal_and_outer_slices_have_no_effect(before: int, after: int) -> None:
    few, many = small_numbers(CPCE(channels=2, slices=before)).double(), CPCE(channels=2, slices=after).double()
    load_weights_of_fewer_slices(many, few.state_dict())
    if before == 1:
        for flat, deep in zip(few.encode, many.encode, strict=True):
            kernel = kernel_3d(deep)
            assert torch.equal(kernel[:, :, kernel.shape[2] // 2], flat.weight)
            assert kernel.count_nonzero() == flat.weight.count_nonzero()  # (0, W, 0)
    x = torch.randint(0, 9, (2, after, 17, 13)).double()
    outer = (after - before) // 2
    wanted = few(x[:, outer : after - outer])
    assert wanted.any()
    assert torch.equal(many(x), wanted)
    x[:, :outer] += 50
    x[:, after - outer :] *= 3
    assert torch.equal(many(x), wanted)


def test_other_slices_are_learned_after_the_transfer() -> None:
    many = CPCE(channels=4, slices=3)
    load_weights_of_fewer_slices(many, CPCE(channels=4).state_dict())
    many(torch.rand(1, 3, 12, 12)).square().mean().backward()
    gradient = many.encode[0].weight.grad
    assert all(bool(gradient[:, place].any()) for place in range(3))


@pytest.mark.parametrize("slices", [11, 4])
def test_slices_that_cannot_be_used_are_refused(slices: int) -> None:
    with pytest.raises(ValueError, match=f"slices={slices}: (at most 9|must be odd)"):
        CPCE(slices=slices)


@pytest.mark.parametrize("slices", [1, 3, 9])
def test_size_is_kept_from_nine_pixels(slices: int) -> None:
    network = CPCE(channels=2, slices=slices)
    assert network(torch.rand(2, slices, 9, 13)).shape == (2, 1, 9, 13)
    with pytest.raises(ValueError, match="at least 9"):
        network(torch.rand(1, slices, 8, 20))


def test_every_seed_starts_alive() -> None:
    x = torch.rand(1, 1, 16, 16) * 0.1 + 0.3
    for seed in range(20):
        torch.manual_seed(seed)
        network = CPCE()
        out = network(x)
        assert bool((out > 0).float().mean() > 0.9)
        out.mean().backward()
        assert all(bool(parameter.grad.any()) for parameter in network.parameters() if parameter.grad is not None)


def test_the_last_sum_is_exact_under_autocast() -> None:
    network = CPCE(channels=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 1, 16, 16)).dtype == torch.float32
