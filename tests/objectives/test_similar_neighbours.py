"""Neighbours of places: inside the map, without the place itself, and the most similar ones, written out slowly."""

from __future__ import annotations

import pytest
import torch

from lowdose.objectives.similar_neighbours import features_at, most_similar, windows
from lowdose.sample_draws import distinct_draws


@pytest.mark.parametrize(("height", "width", "size"), [(9, 8, 7), (7, 7, 7), (4, 5, 3)])
def test_no_window_reaches_around_the_border(height: int, width: int, size: int) -> None:
    places = torch.arange(height * width)[None]
    for place, found in zip(places[0].tolist(), windows(places, height, width, size)[0].tolist(), strict=True):
        y, x = divmod(place, width)
        top = min(max(y - size // 2, 0), height - size)
        left = min(max(x - size // 2, 0), width - size)
        wanted = [
            row * width + column
            for row in range(top, top + size)
            for column in range(left, left + size)
            if (row, column) != (y, x)
        ]
        assert found == wanted
        # Around the border, a neighbour would be on the other side, farther off than a window is wide.
        assert all(max(abs(n // width - y), abs(n % width - x)) < size for n in found)


def test_the_most_similar_written_out_slowly() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 5, 9, 8, generator=generator)
    places = torch.tensor([[0, 7, 36, 71], [64, 35, 8, 15]])
    found = most_similar(maps, places, 7, 24)
    for b in range(2):
        for n, place in enumerate(places[b].tolist()):
            y, x = divmod(place, 8)
            top, left = min(max(y - 3, 0), 2), min(max(x - 3, 0), 1)
            cosines = {}
            for row in range(top, top + 7):
                for column in range(left, left + 7):
                    if (row, column) != (y, x):
                        a, c = maps[b, :, y, x], maps[b, :, row, column]
                        cosines[row * 8 + column] = float(a @ c / (a.norm() * c.norm()))
            wanted = sorted(cosines, key=lambda key: -cosines[key])[:24]
            assert found[b, n].tolist() == wanted


def test_features_are_those_at_the_places_and_get_the_gradient() -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    places = torch.tensor([[[0, 19], [7, 7]], [[3, 4], [5, 6]]])
    found = features_at(maps, places)
    assert found.shape == (2, 2, 2, 3)
    for index in ((0, 0, 1), (1, 1, 0), (0, 1, 1)):
        place = int(places[index])
        assert torch.equal(found[index], maps[index[0], :, place // 5, place % 5])
    found.sum().backward()
    assert maps.grad is not None
    assert maps.grad[0, 0].flatten().nonzero().flatten().tolist() == [0, 7, 19]


def test_places_depend_on_the_sample_alone_and_none_comes_twice() -> None:
    draws = distinct_draws(torch.tensor([3, 8, 3]), 32, 64)
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])
    assert all(len(set(row)) == 32 and max(row) < 64 for row in draws.tolist())
    counts = torch.bincount(distinct_draws(torch.arange(2000), 4, 16).flatten(), minlength=16)
    assert counts.min() > 400  # of 500
