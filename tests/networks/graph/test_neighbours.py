"""The search for similar pixels: it equals a table of all pairs, on images of any size, and leaves the centre out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowdose.networks.graph.neighbours import nearest_in_tiles, nearest_neighbours


def table_of_all_pairs(features: Tensor, window: int, count: int, local: int = 3) -> Tensor:
    """Return the places of the nearest, (B, H * W, count), nearest first."""
    height, width = features.shape[-2:]
    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    down, across = ((axis[:, None] - axis).abs() for axis in (y, x))
    pixels = features.flatten(2).mT.double()
    distances = (pixels[:, :, None] - pixels[:, None]).square().sum(3)
    outside = (down > window // 2) | (across > window // 2)
    inside = (down <= local // 2) & (across <= local // 2)
    return distances.masked_fill(outside | inside, torch.inf).topk(count, largest=False).indices


@pytest.mark.parametrize(
    ("height", "width", "window"), [(9, 9, 9), (12, 17, 9), (21, 6, 11), (14, 14, 49), (33, 20, 13)]
)
def test_it_equals_a_table_of_all_pairs(height: int, width: int, window: int) -> None:
    features = torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(height))
    expected = table_of_all_pairs(features, window, 8)
    assert torch.equal(nearest_neighbours(features, window, 8), expected)
    assert torch.equal(nearest_neighbours(features.double(), window, 8), expected)


@pytest.mark.parametrize("tile", [1, 4, 7, 32])
def test_tiles_of_any_size_find_the_same(tile: int) -> None:
    features = 50 + torch.randn(2, 5, 15, 18, generator=torch.Generator().manual_seed(1))
    assert torch.equal(nearest_in_tiles(features, 9, 8, 3, tile), table_of_all_pairs(features, 9, 8))


@pytest.mark.parametrize("local", [1, 3, 5])
def test_neither_a_pixel_nor_its_surroundings_are_its_neighbours(local: int) -> None:
    # Features change so slowly that the nearest pixels are those right beside a pixel.
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(20.0), indexing="ij")
    found = nearest_neighbours(torch.stack([y, x])[None], 15, 6, local)[0]
    own = torch.arange(24 * 20)[:, None]
    down, across = (found // 20 - own // 20).abs(), (found % 20 - own % 20).abs()
    far = torch.maximum(down, across)
    assert far.min() == local // 2 + 1
    assert far.max() <= 7
    assert all(len(set(row)) == 6 for row in found.tolist())


def test_half_precision_is_compared_in_single() -> None:
    features = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(2)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = nearest_neighbours(features, 9, 4)
    assert torch.equal(found, nearest_neighbours(features.float(), 9, 4))


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="17 neighbours in a window of 9 pixels, in an image of 30 x 30: too few"):
        nearest_neighbours(torch.zeros(1, 1, 30, 30), 9, 17)
    assert nearest_neighbours(torch.zeros(1, 1, 30, 30), 9, 16).max() < 900


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same() -> None:
    features = torch.randn(2, 8, 70, 50, generator=torch.Generator().manual_seed(3))
    found = nearest_neighbours(features.cuda(), 21, 16).cpu()
    assert (found != nearest_neighbours(features, 21, 16)).float().mean() < 1e-3
