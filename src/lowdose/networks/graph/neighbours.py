"""The nearest pixels by their features in a window around each pixel, without a table of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.networks.full_precision import full_precision

TILE = 32
"""Side, in pixels, of the squares of an image whose distances a GPU holds at a time."""


@torch.no_grad()
def nearest_neighbours(features: Tensor, window: int, count: int, local: int = 3) -> Tensor:
    """Return the pixels whose features are nearest to those of each pixel, outside of its own surroundings.

    The distance is the Euclidean one, in float32 at least. Windows end where the image does. Compiled loops search on
    the CPU, products of matrices on a GPU; time grows with the pixels of image and window, memory with those of the
    image.

    Parameters
    ----------
    features : Tensor
        (B, C, H, W).
    window : int
        Side of the square around each pixel that is searched, an odd number.
    count : int
        Neighbours of each pixel.
    local : int
        Side of the square around each pixel that is left out, an odd number.

    Returns
    -------
    Tensor
        Their places as row * W + column, nearest first, (B, H * W, count) int64.

    Raises
    ------
    ValueError
        When a pixel has fewer than ``count`` others around it.

    Examples
    --------
    In a row of pixels, every second has the same feature:

    >>> import torch
    >>> from lowdose.networks.graph.neighbours import nearest_neighbours
    >>> features = torch.arange(12.0).remainder(2).view(1, 1, 1, 12)
    >>> nearest_neighbours(features, window=9, count=2)[0, 5].tolist()
    [1, 3]
    """
    height, width = features.shape[-2:]
    fewest = min(height, window // 2 + 1) * min(width, window // 2 + 1)
    if fewest < count + min(height, local) * min(width, local):
        raise ValueError(
            f"{count} neighbours in a window of {window} pixels, in an image of {height} x {width}: too few pixels"
        )
    with full_precision(features):
        exact = features.detach().float() if features.dtype.itemsize < 4 else features.detach()
        if exact.device.type == "cpu":
            # Imported here: programs that search for nothing do not wait for the compiler to be loaded.
            from lowdose.networks.graph.neighbours_cpu import nearest_on_cpu

            return nearest_on_cpu(exact, window, count, local)
        return nearest_in_tiles(exact, window, count, local)


def nearest_in_tiles(features: Tensor, window: int, count: int, local: int, tile: int = TILE) -> Tensor:
    """Return what ``nearest_neighbours`` does, by the distances of ``tile`` x ``tile`` pixels at a time."""
    batch, _, height, width = features.shape
    found = torch.empty((batch, height, width, count), dtype=torch.int64, device=features.device)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            rows, columns = range(top, min(top + tile, height)), range(left, min(left + tile, width))
            found[:, top : rows.stop, left : columns.stop] = _nearest_of_tile(
                features, rows, columns, window // 2, count, local // 2
            )
    return found.flatten(1, 2)


def _nearest_of_tile(features: Tensor, rows: range, columns: range, reach: int, count: int, local: int) -> Tensor:
    """Return the nearest pixels of those in some rows and columns, (B, rows, columns, count)."""
    height, width = features.shape[-2:]
    around_rows, around_columns = (
        range(max(0, own.start - reach), min(side, own.stop + reach))
        for own, side in ((rows, height), (columns, width))
    )
    own, others = (
        features[..., down.start : down.stop, across.start : across.stop].flatten(2)
        for down, across in ((rows, columns), (around_rows, around_columns))
    )
    mean = own.mean(2, keepdim=True)  # small numbers lose fewer digits in the difference of squares
    own, others = own - mean, others - mean
    # The square of a pixel's own features is the same for all others, and left out.
    distances = others.square().sum(1)[:, None] - 2 * own.mT @ others
    (y, x), (other_y, other_x) = (
        [torch.arange(one.start, one.stop, device=features.device) for one in both]
        for both in ((rows, columns), (around_rows, around_columns))
    )
    down, across = (y[:, None] - other_y).abs()[:, None, :, None], (x[:, None] - other_x).abs()[None, :, None]
    excluded = (down > reach) | (across > reach) | ((down <= local) & (across <= local))
    chosen = distances.masked_fill(excluded.flatten(2).flatten(0, 1), torch.inf).topk(count, largest=False).indices
    places = (other_y[:, None] * width + other_x).flatten()[chosen]
    return places.view(len(features), len(rows), len(columns), count)
