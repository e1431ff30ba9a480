"""Lesion shape: the share of each voxel that a lesion fills, an uneven ball with a soft rim averaged over the voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.volume import Volume

Coverage = NDArray[np.float64]

Point = tuple[float, float, float]

RIM_MM = {"metastasis": 3.0, "solid_nodule": 1.2, "part_solid_nodule": 1.6, "cyst": 0.4}
"""Width in mm of the rim over which each kind of lesion fades out."""

_BUMP_SHARPNESS = {"metastasis": 3.0, "solid_nodule": 9.0, "part_solid_nodule": 7.0, "cyst": 3.0}
_BUMP_COUNT = 14
_BUMP_SD = {"metastasis": 0.10, "solid_nodule": 0.22, "part_solid_nodule": 0.22, "cyst": 0.03}

# Of a part-solid nodule: contrast of its ground-glass part and diameter of its solid core, relative to the whole.
_GROUND_GLASS_CONTRAST, _CORE_DIAMETER = 0.32, 0.55

MIN_SUBSAMPLES = 5
"""Fewest samples along each axis of a voxel over which a lesion is averaged."""


def reach(volume: Volume, at: Point, diameter: float, rim: float) -> tuple[list[int], list[int]]:
    """Return the first voxel and the one past the last, (z, y, x), of the box that a lesion at voxel ``at`` may fill.

    The box is limited to the volume and empty where the lesion lies outside. ``diameter`` and ``rim`` are in mm.
    """
    thick = max(volume.acquisition.thickness_mm or 0.0, volume.geometry.spacing[0])
    pad = (0.5 * thick, 0.5 * volume.geometry.spacing[1], 0.5 * volume.geometry.spacing[2])
    radius = 0.5 * diameter * 1.55 + 0.5 * rim
    low, high = [], []
    for c, step, extra, n in zip(at, volume.geometry.spacing, pad, volume.hu.shape, strict=True):
        low.append(min(max(int(np.floor(c - (radius + extra) / step)), 0), n))
        high.append(min(max(int(np.ceil(c + (radius + extra) / step)) + 1, 0), n))
    return low, high


def _draw_bumps(seed: int, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Draw the directions and weights of the bumps, and the factor on the radius that preserves the volume."""
    rng = np.random.default_rng((seed, 11))
    axes = rng.standard_normal((_BUMP_COUNT, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    weights = rng.normal(0, _BUMP_SD[kind], _BUMP_COUNT)
    directions = np.random.default_rng(5).standard_normal((2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    volume = float(np.mean(_relative_radius(directions, axes, weights, _BUMP_SHARPNESS[kind]) ** 3))
    return axes, weights, volume ** (-1 / 3)


def _relative_radius(direction: Coverage, axes: Coverage, weights: Coverage, sharpness: float) -> Coverage:
    """Return the radius relative to that of a ball in unit directions (..., 3)."""
    bump = np.exp(sharpness * (direction @ axes.T - 1.0)) @ weights
    return np.asarray(np.clip(1.0 + bump, 0.65, 1.4))


def coverage(
    volume: Volume,
    kind: str,
    at: Point,
    diameter: float,
    low: list[int],
    high: list[int],
    seed: int,
    subsamples: int = MIN_SUBSAMPLES,
) -> Coverage:
    """Return the share, 0 to 1, of each voxel of the box ``low`` to ``high`` that the lesion fills.

    ``at`` is the centre voxel (z, y, x), ``diameter`` is in mm. The rim fades out over ``RIM_MM``. Voxels are as thick
    as the slice, which may be more than the spacing, and are averaged over ``subsamples`` along each axis, or more
    where the lesion is small.
    """
    axes, weights, volume_factor = _draw_bumps(seed, kind)
    spacing = volume.geometry.spacing
    extents = (volume.acquisition.thickness_mm or spacing[0], spacing[1], spacing[2])
    counts = [max(subsamples, int(np.ceil(e * MIN_SUBSAMPLES / max(0.15 * diameter, 0.5) / 5))) for e in extents]
    counts = [min(n, 15) for n in counts]
    grids = []
    for c, a, b, step, extent, n in zip(at, low, high, spacing, extents, counts, strict=True):
        offsets = (np.arange(n) + 0.5) / n - 0.5
        grids.append((np.arange(a, b)[:, None] - c) * step + offsets * extent)
    total = np.zeros([b - a for a, b in zip(low, high, strict=True)])
    rim = min(RIM_MM[kind], 0.35 * diameter)
    for k in range(counts[0]):
        z = grids[0][:, k]
        for i in range(counts[1]):
            y = grids[1][:, i]
            for j in range(counts[2]):
                p = np.stack(np.meshgrid(z, y, grids[2][:, j], indexing="ij"), axis=-1)
                r = np.linalg.norm(p, axis=-1)
                radius = (
                    0.5
                    * diameter
                    * volume_factor
                    * _relative_radius(p / np.maximum(r, 1e-9)[..., None], axes, weights, _BUMP_SHARPNESS[kind])
                )
                total += np.clip(0.5 - (r - radius) / rim, 0.0, 1.0)
    return total / float(np.prod(counts))


def strength(
    volume: Volume,
    kind: str,
    at: Point,
    diameter: float,
    low: list[int],
    high: list[int],
    seed: int,
    cover: Coverage,
    subsamples: int = MIN_SUBSAMPLES,
) -> Coverage:
    """Return the contrast in the lesion's part of each voxel, relative to the full contrast.

    It is 1 except in the ground-glass part around the core of a part-solid nodule.
    """
    if kind != "part_solid_nodule":
        return np.ones_like(cover)
    # The solid core lies off-centre.
    shift = np.random.default_rng((seed, 12)).uniform(-0.12, 0.12, 3) * diameter / volume.geometry.spacing
    middle = (at[0] + float(shift[0]), at[1] + float(shift[1]), at[2] + float(shift[2]))
    core = coverage(volume, kind, middle, diameter * _CORE_DIAMETER, low, high, seed + 1, subsamples)
    return np.asarray(
        _GROUND_GLASS_CONTRAST + (1.0 - _GROUND_GLASS_CONTRAST) * np.minimum(core / np.maximum(cover, 1e-6), 1.0)
    )
