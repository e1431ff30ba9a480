"""Places of feature maps, and those of their neighbours whose features are the most similar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def windows(places: Tensor, height: int, width: int, size: int) -> Tensor:
    """Return the other places in a square window around each place.

    At the border the window moves inwards, so that every place has as many neighbours and none is on the other side of
    the map.

    Parameters
    ----------
    places : Tensor
        Places as row * width + column, (B, N) int64.
    height, width : int
        Size of the map, at least ``size`` each.
    size : int
        Side of the window.

    Returns
    -------
    Tensor
        (B, N, size**2 - 1) int64.

    Examples
    --------
    The corner and the middle of a map of 3 x 4:

    >>> import torch
    >>> from lowdose.objectives.similar_neighbours import windows
    >>> windows(torch.tensor([[0, 5]]), 3, 4, 3)[0].tolist()
    [[1, 2, 4, 5, 6, 8, 9, 10], [0, 1, 2, 4, 6, 8, 9, 10]]
    """
    offsets = torch.arange(size, device=places.device)
    top = (places // width - size // 2).clamp(0, height - size)
    left = (places % width - size // 2).clamp(0, width - size)
    rows, columns = top[..., None] + offsets, left[..., None] + offsets
    found = (rows[..., :, None] * width + columns[..., None, :]).flatten(2)
    return found[found != places[..., None]].view(*places.shape, size * size - 1)


def features_at(maps: Tensor, places: Tensor) -> Tensor:
    """Return the features at places of maps.

    Parameters
    ----------
    maps : Tensor
        (B, C, H, W).
    places : Tensor
        Places as row * W + column, (B, ...) int64.

    Returns
    -------
    Tensor
        (B, ..., C).

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.similar_neighbours import features_at
    >>> features_at(torch.arange(12.0).view(1, 2, 2, 3), torch.tensor([[0, 5]])).tolist()
    [[[0.0, 6.0], [5.0, 11.0]]]
    """
    index = places.flatten(1)[:, None].expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, index).transpose(1, 2).reshape(*places.shape, maps.shape[1])


def most_similar(maps: Tensor, places: Tensor, size: int, count: int) -> Tensor:
    """Return those neighbours of each place whose features have the largest cosine with its own.

    Parameters
    ----------
    maps : Tensor
        (B, C, H, W).
    places : Tensor
        Places as row * W + column, (B, N) int64.
    size : int
        Side of the window of neighbours, see ``windows``.
    count : int
        Neighbours for each place.

    Returns
    -------
    Tensor
        Their places, most similar first, (B, N, count) int64.

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives.similar_neighbours import most_similar
    >>> maps = torch.ones(1, 2, 3, 3)
    >>> maps[0, 1] = torch.tensor([[9.0, 8, 7], [6, 1, 4], [3, 2, 1.5]])
    >>> most_similar(maps, torch.tensor([[4]]), 3, 2).tolist()
    [[[8, 7]]]
    """
    unit = functional.normalize(maps.float(), dim=1)
    around = windows(places, maps.shape[2], maps.shape[3], size)
    cosines = (features_at(unit, around) * features_at(unit, places)[:, :, None]).sum(dim=3)
    return around.gather(2, cosines.topk(count, dim=2).indices)
