"""How much of each voxel a lesion fills: an uneven ball with a fading rim, averaged over the voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.volume import Volume

Coverage = NDArray[np.float64]

Point = tuple[float, float, float]

RIM_MM = {"metastasis": 3.0, "solid_nodule": 1.2, "part_solid_nodule": 1.6, "cyst": 0.4}

_SHARP = {"metastasis": 3.0, "solid_nodule": 9.0, "part_solid_nodule": 7.0, "cyst": 3.0}
_BUMPS = 14
_UNEVEN = {"metastasis": 0.10, "solid_nodule": 0.22, "part_solid_nodule": 0.22, "cyst": 0.03}

_GROUND_GLASS, _CORE = 0.32, 0.55

_SUB = 5


def reach(volume: Volume, at: Point, diameter: float, rim: float) -> tuple[list[int], list[int]]:
    thick = max(volume.acquisition.thickness_mm or 0.0, volume.geometry.spacing[0])
    pad = (0.5 * thick, 0.5 * volume.geometry.spacing[1], 0.5 * volume.geometry.spacing[2])
    radius = 0.5 * diameter * 1.55 + 0.5 * rim
    low, high = [], []
    for c, step, extra, n in zip(at, volume.geometry.spacing, pad, volume.hu.shape, strict=True):
        low.append(min(max(int(np.floor(c - (radius + extra) / step)), 0), n))
        high.append(min(max(int(np.ceil(c + (radius + extra) / step)) + 1, 0), n))
    return low, high


def _radii(seed: int, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Directions and weights of the bumps, and the factor that keeps the volume."""
    rng = np.random.default_rng((seed, 11))
    axes = rng.standard_normal((_BUMPS, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    weights = rng.normal(0, _UNEVEN[kind], _BUMPS)
    probe = np.random.default_rng(5).standard_normal((2000, 3))
    probe /= np.linalg.norm(probe, axis=1, keepdims=True)
    volume = float(np.mean(_bumps(probe, axes, weights, _SHARP[kind]) ** 3))
    return axes, weights, volume ** (-1 / 3)


def _bumps(direction: Coverage, axes: Coverage, weights: Coverage, sharp: float) -> Coverage:
    bump = np.exp(sharp * (direction @ axes.T - 1.0)) @ weights
    return np.asarray(np.clip(1.0 + bump, 0.65, 1.4))


def coverage(
    volume: Volume, kind: str, at: Point, diameter: float, low: list[int], high: list[int], seed: int
) -> Coverage:
    """Share of each voxel of the box that is lesion, 0 to 1, the rim fading over some mm."""
    axes, weights, even = _radii(seed, kind)
    spacing = volume.geometry.spacing
    extents = (volume.acquisition.thickness_mm or spacing[0], spacing[1], spacing[2])
    subs = [max(_SUB, int(np.ceil(e * _SUB / max(0.15 * diameter, 0.5) / 5))) for e in extents]
    subs = [min(n, 15) for n in subs]
    grids = []
    for c, a, b, step, extent, n in zip(at, low, high, spacing, extents, subs, strict=True):
        offsets = (np.arange(n) + 0.5) / n - 0.5
        grids.append((np.arange(a, b)[:, None] - c) * step + offsets * extent)
    total = np.zeros([b - a for a, b in zip(low, high, strict=True)])
    rim = min(RIM_MM[kind], 0.35 * diameter)
    for k in range(subs[0]):
        z = grids[0][:, k]
        for i in range(subs[1]):
            y = grids[1][:, i]
            for j in range(subs[2]):
                p = np.stack(np.meshgrid(z, y, grids[2][:, j], indexing="ij"), axis=-1)
                r = np.linalg.norm(p, axis=-1)
                radius = 0.5 * diameter * even * _bumps(p / np.maximum(r, 1e-9)[..., None], axes, weights, _SHARP[kind])
                total += np.clip(0.5 - (r - radius) / rim, 0.0, 1.0)
    return total / float(np.prod(subs))


def strength(
    volume: Volume, kind: str, at: Point, diameter: float, low: list[int], high: list[int], seed: int, cover: Coverage
) -> Coverage:
    """Share of the full contrast in the lesion's part of each voxel: 1, but less around a part-solid nodule's core."""
    if kind != "part_solid_nodule":
        return np.ones_like(cover)
    # The solid part lies off the middle.
    away = np.random.default_rng((seed, 12)).uniform(-0.12, 0.12, 3) * diameter / volume.geometry.spacing
    middle = (at[0] + float(away[0]), at[1] + float(away[1]), at[2] + float(away[2]))
    core = coverage(volume, kind, middle, diameter * _CORE, low, high, seed + 1)
    return np.asarray(_GROUND_GLASS + (1.0 - _GROUND_GLASS) * np.minimum(core / np.maximum(cover, 1e-6), 1.0))
