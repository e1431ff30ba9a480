"""Networks of several slices: which is in the middle, and the start from weights of fewer slices."""

import pytest
import torch

import lowdose.networks  # noqa: F401
from lowdose.network_spec import NetworkSpec
from lowdose.networks.neighbours import load_weights_of_fewer_slices

SMALL = {"unet": {"width": 4, "levels": 3}, "shuffle_unet": {"width": 4}, "res_hlf": {"channels": 4}}


def network(name: str, slices: int) -> torch.nn.Module:
    built = NetworkSpec(name, {**SMALL[name], "slices": slices}).build()
    torch.nn.init.normal_(built.out.weight, std=0.3)
    return built


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("before", "after"), [(1, 3), (1, 5), (3, 5)])
def test_right_after_the_transfer_both_give_the_same_and_outer_slices_have_no_effect(
    name: str, before: int, after: int
) -> None:
    few, many, x = network(name, before), network(name, after), torch.randn(2, after, 16, 24)
    load_weights_of_fewer_slices(many, few.state_dict())
    outer = (after - before) // 2
    torch.testing.assert_close(many(x), few(x[:, outer : after - outer]))
    x[:, 0] += 100.0
    torch.testing.assert_close(many(x), few(x[:, outer : after - outer]))


@pytest.mark.parametrize("name", SMALL)
def test_the_outer_slices_are_learned(name: str) -> None:
    many = network(name, 3)
    load_weights_of_fewer_slices(many, network(name, 1).state_dict())
    many(torch.randn(1, 3, 16, 16)).square().mean().backward()
    first = next(parameter for parameter in many.parameters() if parameter.ndim == 4)
    assert first.grad is not None
    assert bool((first.grad[:, 0].abs() > 0).any())


@pytest.mark.parametrize("name", SMALL)
def test_the_noise_is_that_of_the_middle_slice(name: str) -> None:
    many, x = NetworkSpec(name, {**SMALL[name], "slices": 3}).build(), torch.randn(1, 3, 16, 16)
    torch.nn.init.zeros_(many.out.weight)
    assert torch.equal(many(x), x[:, 1:2])


def test_other_shapes_are_no_start() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        load_weights_of_fewer_slices(network("unet", 1), network("unet", 3).state_dict())
    with pytest.raises(ValueError, match="one of the two networks only"):
        load_weights_of_fewer_slices(network("unet", 1), network("shuffle_unet", 1).state_dict())


@pytest.mark.parametrize("slices", [0, 2, -1])
def test_an_even_number_of_slices_has_no_middle(slices: int) -> None:
    with pytest.raises(Exception, match="must be odd"):
        NetworkSpec("shuffle_unet", {"slices": slices}).build()
