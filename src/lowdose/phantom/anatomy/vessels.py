"""Branching trees that fill an organ, such as bronchi and the vessels of lungs and liver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Tube

STEP_MM = 7.0
"""Length in mm of the pieces of a branch."""

MURRAY_EXPONENT = 2.6
"""Exponent of Murray's law in measured trees."""


def grow(roots: Sequence[Sequence[float]], targets: Points, leaf_mm: float, thickest_mm: float) -> Tube:
    """Grow a tree from the root path (x, y, z) in mm that reaches every target (n, 3).

    Targets are connected from near to far, each to the nearest point of the tree so far. Radii follow Murray's law with
    the exponent 2.6 of measured trees: r^2.6 of a branch is the sum over the branches it feeds. They are ``leaf_mm`` at
    the ends and at most ``thickest_mm``.
    """
    nodes = [np.asarray(p, float) for p in roots]
    parent = [max(k - 1, 0) for k in range(len(nodes))]
    position = np.zeros((len(nodes) + 40 * len(targets), 3))
    position[: len(nodes)] = nodes
    count = len(nodes)
    for target in targets[np.argsort(np.linalg.norm(targets - nodes[-1], axis=1))]:
        nearest = int(np.argmin(((position[:count] - target) ** 2).sum(axis=1)))
        gap = target - position[nearest]
        steps = int(np.linalg.norm(gap) / STEP_MM) + 1
        # A slight bend: a branch leaves in the direction of its parent.
        bow = 0.12 * np.linalg.norm(gap) * _heading(position, parent, nearest)
        for k in range(1, min(steps, 39) + 1):
            t = k / steps
            position[count] = position[nearest] + gap * t + bow * np.sin(np.pi * t)
            parent.append(nearest if k == 1 else count - 1)
            count += 1
    flow = np.zeros(count)
    feeds = np.bincount(parent[1:], minlength=count)
    flow[feeds[:count] == 0] = leaf_mm**MURRAY_EXPONENT
    for k in range(count - 1, 0, -1):
        flow[parent[k]] += flow[k]
    radius = np.minimum(flow ** (1.0 / MURRAY_EXPONENT), thickest_mm)
    start, end = np.array(parent[1:]), np.arange(1, count)
    ends = np.minimum(radius[end], radius[start])
    rods = [position[start], position[end], np.minimum(radius[start], 1.25 * ends)[:, None], ends[:, None]]
    return Tube(np.concatenate(rods, axis=1).astype(np.float32))


def _heading(position: Points, parent: list[int], k: int) -> Points:
    """Return the unit vector from the parent of node ``k`` to the node, 0 at the root."""
    direction = position[k] - position[parent[k]]
    length = float(np.linalg.norm(direction))
    return np.asarray(direction / length) if length > 0 else direction


def scatter(low: Sequence[float], high: Sequence[float], count: int, rng: np.random.Generator) -> Points:
    """Draw about ``count`` evenly spread random points (n, 3) in a box, in random order, from a jittered grid."""
    size = np.asarray(high, float) - low
    step = float(np.cbrt(size.prod() / count))
    axes = [np.arange(max(round(side / step), 1)) for side in size]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    counts = np.array([len(axis) for axis in axes])
    points = np.asarray(low) + (cells + rng.uniform(0.05, 0.95, cells.shape)) / counts * size
    return np.asarray(rng.permutation(points))
