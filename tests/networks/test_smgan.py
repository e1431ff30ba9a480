"""SMGAN's generator: its layers written out in three dimensions, size, and what stands for missing slices."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lowdose.networks.smgan import SMGANGenerator


def written_out(network: SMGANGenerator, stack: torch.Tensor) -> torch.Tensor:
    """Apply the layers as valid convolutions of (B, 1, slices, H, W), without borders."""
    for place, layer in enumerate(network.layers):
        kernel = layer.weight.unflatten(1, (3 if place % 2 else 1, -1)).transpose(1, 2)
        stack = functional.conv3d(stack, kernel).relu()
    return stack


def test_published_sizes_of_input_and_output() -> None:
    network = SMGANGenerator(channels=2)
    assert written_out(network, torch.rand(1, 1, 11, 80, 80)).shape == (1, 1, 3, 64, 64)
    assert not [name for name, _ in network.named_parameters() if "bias" in name]


def test_written_out_in_three_dimensions() -> None:
    torch.manual_seed(1)
    network, x = SMGANGenerator(channels=3), torch.rand(2, 9, 14, 11)
    borders = functional.pad(x, (8, 8, 8, 8), mode="reflect")
    torch.testing.assert_close(network(x), written_out(network, borders[:, None])[:, 0])


def test_inside_the_borders_nothing_is_padded() -> None:
    torch.manual_seed(2)
    network, x = SMGANGenerator(channels=3), torch.rand(1, 9, 24, 24)
    torch.testing.assert_close(network(x)[..., 8:-8, 8:-8], written_out(network, x[:, None])[:, 0])


@pytest.mark.parametrize("slices", [1, 3, 5, 7])
def test_the_outermost_slices_stand_for_missing_ones(slices: int) -> None:
    torch.manual_seed(3)
    few, whole = SMGANGenerator(channels=3, slices=slices), SMGANGenerator(channels=3)
    whole.load_state_dict(few.state_dict())
    x = torch.rand(1, slices, 12, 10)
    places = [min(max(place, 0), slices - 1) for place in range((slices - 9) // 2, (slices + 9) // 2)]
    assert len(places) == 9
    torch.testing.assert_close(few(x), whole(x[:, places]))


def test_size_is_kept_from_nine_pixels_and_slices_are_checked() -> None:
    network = SMGANGenerator(channels=2, slices=3)
    assert network(torch.rand(2, 3, 9, 13)).shape == (2, 1, 9, 13)
    with pytest.raises(ValueError, match="at least 9"):
        network(torch.rand(1, 3, 8, 20))
    for slices, reason in ((11, "at most 9"), (2, "must be odd")):
        with pytest.raises(ValueError, match=f"slices={slices}: {reason}"):
            SMGANGenerator(slices=slices)


def test_the_last_sum_is_exact_under_autocast() -> None:
    network = SMGANGenerator(channels=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 9, 16, 16)).dtype == torch.float32
