"""The U-Net on several slices: the residual belongs to the middle one; with one slice it is what it was."""

import pytest
import torch

import lowdose.networks  # noqa: F401
from lowdose.errors import IncompatibleCheckpoint
from lowdose.network_spec import NetworkSpec

SMALL = {"width": 4, "levels": 3}


def unet(slices: int) -> torch.nn.Module:
    torch.manual_seed(0)
    network = NetworkSpec("unet", {**SMALL, "slices": slices}).build()
    torch.nn.init.normal_(network.out.weight, std=0.3)
    return network


def test_one_slice_is_the_network_without_the_setting() -> None:
    torch.manual_seed(0)
    plain = NetworkSpec("unet", SMALL).build()
    torch.nn.init.normal_(plain.out.weight, std=0.3)
    x = torch.randn(2, 1, 16, 24)
    assert torch.equal(plain(x), unet(1)(x))
    assert plain.state_dict().keys() == unet(1).state_dict().keys()


@pytest.mark.parametrize("slices", [3, 5])
def test_untrained_it_returns_the_middle_slice(slices: int) -> None:
    x = torch.randn(2, slices, 16, 24)
    network = NetworkSpec("unet", {**SMALL, "slices": slices}).build()
    assert torch.equal(network(x), x[:, slices // 2 : slices // 2 + 1])


def test_every_slice_counts_but_the_residual_is_of_the_middle_one() -> None:
    network, x = unet(3), torch.randn(1, 3, 16, 16)
    noise = x[:, 1:2] - network(x)
    for place in range(3):
        other = x.clone()
        other[:, place] += 1.0
        changed = other[:, 1:2] - network(other)
        assert not torch.allclose(changed, noise, atol=1e-4)
    # With the weights of the neighbours at zero it is the network of one slice, whatever they hold.
    first, alone = network.down[0][0], unet(1)
    alone.load_state_dict({**network.state_dict(), "down.0.0.weight": first.weight[:, 1:2]})
    first.weight.data[:, [0, 2]] = 0.0
    torch.testing.assert_close(network(x), alone(x[:, 1:2]))


def test_parameter_count_with_and_without_context() -> None:
    def count(slices: int) -> int:
        return sum(p.numel() for p in NetworkSpec("unet", {"slices": slices}).build().parameters())

    assert count(1) == 1_946_305
    assert count(3) - count(1) == 2 * 32 * 9


@pytest.mark.parametrize("slices", [0, 2, 4, -1, -3])
def test_an_even_number_has_no_middle(slices: int) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=f"slices={slices}: must be odd"):
        NetworkSpec("unet", {**SMALL, "slices": slices}).build()
