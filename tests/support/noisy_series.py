"""Slices of water with noise of a known texture, strength and place, as low-dose series whose noise is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.image import HU, Geometry
from lowdose.volume import Volume

SIDE, PIXEL_MM, RADIUS_PX, SD = 160, 1.5, 70, 30.0


def disc(level: float = 40.0, side: int = SIDE, radius: float = RADIUS_PX) -> HU:
    """An elliptic body in air."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.where(np.hypot(1.3 * y, x) < radius, level, -1000.0).astype(np.float32)


def texture(seed: int, side: int = SIDE) -> HU:
    """Band-limited noise of variance 1."""
    white = np.random.default_rng(seed).standard_normal((side, side))
    band = gaussian_filter(white, 0.8, mode="wrap") - gaussian_filter(white, 1.8, mode="wrap")
    return (band / band.std()).astype(np.float32)


def noisy_slice(seed: int) -> HU:
    """A body with noise that is strongest in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    strength = SD * np.exp(-(np.hypot(1.3 * y, x) ** 2) / (2 * RADIUS_PX**2))
    return (disc() + strength * texture(seed)).astype(np.float32)


def noisy_items(count: int = 3) -> list[NormalDoseSlice]:
    """Slices of one series."""
    return [
        NormalDoseSlice(
            1, f"{number}", "series", (SIDE, SIDE), (PIXEL_MM, PIXEL_MM), 3.0, None, None, None, None,
            lambda seed=number: noisy_slice(seed),  # type: ignore[misc]
        )
        for number in range(count)
    ]  # fmt: skip


def save_series(folder: Path, slices: list[HU]) -> Path:
    """Write slices as a series of arrays."""
    folder.mkdir(parents=True)
    Volume(np.stack(slices), Geometry((3.0, PIXEL_MM, PIXEL_MM))).save(folder / "full.npz")
    return folder
