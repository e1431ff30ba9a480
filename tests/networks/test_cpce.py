"""CPCE-2D: the published count of parameters, its wiring written out, and that it never starts dead."""

from __future__ import annotations

import pytest
import torch

from lowdose.network_spec import NetworkSpec
from lowdose.networks.cpce import CPCE


def test_parameter_count_and_no_bias() -> None:
    network = NetworkSpec("cpce").build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 62_016
    assert not [name for name, _ in network.named_parameters() if "bias" in name]
    assert not network(torch.zeros(1, 1, 16, 16)).any()


def test_written_out_slowly() -> None:
    torch.manual_seed(1)
    network = CPCE(channels=3)
    c, d, j = list(network.encode), list(network.decode), list(network.join)
    x = torch.rand(1, 1, 15, 12)
    c1 = c[0](x).relu()
    c2 = c[1](c1).relu()
    c3 = c[2](c2).relu()
    c4 = c[3](c3).relu()
    d1 = j[0](torch.cat([c3, d[0](c4)], 1).relu()).relu()
    d2 = j[1](torch.cat([c2, d[1](d1)], 1).relu()).relu()
    d3 = j[2](torch.cat([c1, d[2](d2)], 1).relu()).relu()
    assert torch.equal(network(x), d[3](d3).relu())


def test_size_is_kept_from_nine_pixels() -> None:
    network = CPCE(channels=2)
    assert network(torch.rand(2, 1, 9, 13)).shape == (2, 1, 9, 13)
    with pytest.raises(ValueError, match="at least 9"):
        network(torch.rand(1, 1, 8, 20))


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
