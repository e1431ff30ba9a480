"""The nearest pixels by their features on the CPU: compiled loops over all cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowdose.physics.compiled import compiled
from lowdose.physics.threads import in_threads

Array = NDArray[Any]


def nearest_on_cpu(features: Tensor, window: int, count: int, local: int) -> Tensor:
    """Return what ``neighbours.nearest_neighbours`` does, for features (B, C, H, W) on the CPU."""
    batch, _, height, width = features.shape
    found = np.empty((batch, height * width, count), np.int64)
    for image, indices in zip(features.detach(), found, strict=True):
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        in_threads(_search, height, pixels, window // 2, local // 2, indices)
    return torch.from_numpy(found)


@compiled(fastmath=True)
def _search(pixels, reach, local, indices, block, first, last):  # type: ignore[no-untyped-def]
    """Find the nearest of each pixel in the rows first..last-1, ordered from the nearest on."""
    height, width, channels = pixels.shape
    count = indices.shape[1]
    nearest = np.empty(count, pixels.dtype)
    places = np.empty(count, np.int64)
    for y in range(first, last):
        top, bottom = max(0, y - reach), min(height, y + reach + 1)
        for x in range(width):
            left, right = max(0, x - reach), min(width, x + reach + 1)
            nearest[:] = np.inf
            own = pixels[y, x]
            for row in range(top, bottom):
                beside = abs(row - y) <= local
                for column in range(left, right):
                    if beside and abs(column - x) <= local:
                        continue
                    other = pixels[row, column]
                    distance = pixels.dtype.type(0)
                    for channel in range(channels):
                        distance += (own[channel] - other[channel]) ** 2
                    if distance < nearest[count - 1]:
                        place = count - 1
                        while place > 0 and nearest[place - 1] > distance:
                            nearest[place], places[place] = nearest[place - 1], places[place - 1]
                            place -= 1
                        nearest[place], places[place] = distance, row * width + column
            indices[y * width + x] = places
