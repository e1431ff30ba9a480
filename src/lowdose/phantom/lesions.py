"""Insertion of lesions of known place, size and contrast into a digital patient or a real scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from lowdose.errors import InvalidSetting
from lowdose.image import HU
from lowdose.phantom.lesion_shape import MIN_SUBSAMPLES, RIM_MM, Coverage, Point, coverage, reach, strength
from lowdose.volume import Volume

KINDS = ("metastasis", "solid_nodule", "part_solid_nodule", "cyst")

_TARGET_HU = {"solid_nodule": 25.0, "part_solid_nodule": 25.0, "cyst": 4.0}


@dataclass(frozen=True)
class Lesion:
    """A lesion as it was inserted.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    centre_voxel : (z, y, x), voxels
        Centre, counted from the middle of the first voxel.
    centre_mm : (x, y, z), mm
        Centre in patient coordinates (LPS).
    diameter_mm : mm
        Diameter of a ball of the same volume.
    contrast_hu : HU
        Contrast of its solid part against the surrounding tissue.
    box : (z0, y0, x0, z1, y1, x1), voxels
        First voxel and the one past the last; all changes lie within.
    mask : (z, y, x), bool
        Of the whole volume: voxels at least half filled by the lesion. Where every voxel is thicker than the lesion,
        those that hold at least half of what the fullest voxel holds.
    """

    kind: str
    centre_voxel: Point
    centre_mm: Point
    diameter_mm: float
    contrast_hu: float
    box: tuple[int, int, int, int, int, int]
    mask: NDArray[np.bool_]


def insert_lesion(
    volume: Volume, kind: str, centre: Sequence[float], diameter_mm: float, contrast_hu: float | None = None,
        seed: int = 0,
) -> tuple[Volume, Lesion]:  # fmt: skip
    """Insert a lesion at voxel ``centre`` (z, y, x) into a copy of the volume.

    The lesion has the volume of a ball of ``diameter_mm``. Inside it the mean of the tissue is changed by
    ``contrast_hu`` (None: what is usual for the kind); vessels are removed, the noise of the scan is kept. Voxels are
    blended by the share that the lesion fills, over the thickness of the slice. ``seed`` determines the shape.

    Raises InvalidSetting for an unknown kind, a centre outside the volume, a contrast that is not finite, or a diameter
    that is not positive or exceeds the body.
    """
    at = tuple(float(c) for c in centre)
    shape, diameter = volume.hu.shape, float(diameter_mm)
    if len(at) != 3 or not all(-0.5 <= c <= n - 0.5 for c, n in zip(at, shape, strict=True)):
        raise InvalidSetting(f"centre {tuple(centre)} (z, y, x): lies outside the volume of {shape} voxels")
    _check_lesion(volume, kind, at, diameter, contrast_hu)
    result = put(volume, kind, (at[0], at[1], at[2]), diameter, contrast_hu, seed)
    if result is None:
        raise InvalidSetting(f"diameter {diameter:g} mm: too small for voxels of {volume.geometry.spacing} mm")
    return result


def _check_lesion(volume: Volume, kind: str, at: tuple[float, ...], diameter: float, contrast: float | None) -> None:
    if kind not in KINDS:
        raise InvalidSetting(f"lesion {kind!r}: one of {', '.join(KINDS)}")
    if contrast is not None and not np.isfinite(contrast):
        raise InvalidSetting(f"contrast {contrast} HU: must be a number")
    plane = volume.hu[min(max(round(at[0]), 0), len(volume.hu) - 1)] > -500
    sides = (plane.any(axis=axis).sum() * step for axis, step in zip((1, 0), volume.geometry.spacing[1:], strict=True))
    body = min(float(side) for side in sides)
    if not 0 < diameter <= body:
        raise InvalidSetting(
            f"diameter {diameter:g} mm: must be above 0 and at most the body's {body:.0f} mm in that slice"
        )


def put(
    volume: Volume,
    kind: str,
    at: Point,
    diameter: float,
    contrast: float | None,
    seed: int,
    subsamples: int = MIN_SUBSAMPLES,
) -> tuple[Volume, Lesion] | None:
    """Insert a lesion as ``insert_lesion`` does, without checks.

    The centre ``at`` may lie outside the volume. ``subsamples`` along each axis of a voxel, at least, are averaged.
    Returns None where no voxel holds any of the lesion.
    """
    low, high = reach(volume, at, diameter, RIM_MM[kind])
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    share = coverage(volume, kind, at, diameter, low, high, seed, subsamples)
    if share.max() < 1e-3:
        return None
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    tissue = _surrounding_tissue(volume, at, diameter)
    if contrast is None:
        contrast = _TARGET_HU[kind] - tissue.mean if kind in _TARGET_HU else -40.0
    relative_contrast = strength(volume, kind, at, diameter, low, high, seed, share, subsamples)
    hu = volume.hu.copy()
    hu[box] = _blend(hu[box], share, relative_contrast * contrast, tissue, volume.geometry.spacing)
    mask = np.zeros(hu.shape, bool)
    mask[box] = share >= 0.5 * min(1.0, float(share.max()))
    bounds = (int(low[0]), int(low[1]), int(low[2]), int(high[0]), int(high[1]), int(high[2]))
    lesion = Lesion(kind, at, position(volume, at), diameter, float(contrast), bounds, mask)
    return volume.with_hu(hu), lesion


def position(volume: Volume, voxel: Sequence[float]) -> Point:
    """Return the position (x, y, z) in mm, in patient coordinates (LPS), of a voxel (z, y, x)."""
    geometry = volume.geometry
    steps = np.asarray(voxel) * geometry.spacing
    x, y, z = (np.asarray(geometry.origin) + steps @ np.asarray(geometry.direction)).tolist()
    return x, y, z


@dataclass(frozen=True)
class _Tissue:
    """Statistics in HU of the tissue around a lesion: mean, and spread on the coarse and the fine scale."""

    mean: float
    coarse_sd: float
    fine_sd: float


def _split_scales(hu: HU, spacing: Sequence[float]) -> tuple[Coverage, Coverage]:
    """Split HU into a coarse part, smoothed within slices with a Gaussian of 1.2 mm, and the fine rest."""
    coarse = gaussian_filter(hu.astype(np.float64), (0.0, 1.2 / spacing[1], 1.2 / spacing[2]), mode="nearest")
    return coarse, hu - coarse


def _surrounding_tissue(volume: Volume, at: Point, diameter: float) -> _Tissue:
    """Measure median and robust spread of the tissue within 0.8 diameters of the lesion's centre."""
    radius = max(0.8 * diameter, 2.5 * volume.geometry.pixel_mm)
    box = []
    for c, step, n in zip(at, volume.geometry.spacing, volume.hu.shape, strict=True):
        a = min(max(int(np.floor(c - radius / step)), 0), n - 1)
        box.append(slice(a, max(a + 1, min(int(np.ceil(c + radius / step)) + 1, n))))
    part = volume.hu[tuple(box)]
    axes = [
        (np.arange(s.start, s.stop) - c) * step for s, c, step in zip(box, at, volume.geometry.spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    near = z**2 + y**2 + x**2 <= radius**2
    if not near.any():
        near[:] = True
    coarse, fine = _split_scales(part, volume.geometry.spacing)
    mean = float(np.median(coarse[near]))
    # SD from the first quartile of the absolute deviations, so that vessels and edges nearby do not count.
    spread = [float(np.quantile(np.abs(a[near] - np.median(a[near])), 0.25)) / 0.3186 for a in (coarse, fine)]
    # Limit the coarse spread to what noise of this fine spread can cause; the rest of it is anatomy.
    return _Tissue(mean, min(spread[0], 0.7 * spread[1] + 2.0), spread[1])


def _blend(hu: HU, share: Coverage, contrast: Coverage, tissue: _Tissue, spacing: Sequence[float]) -> HU:
    """Blend the lesion over the tissue: keep the noise inside, but end structures that stand out at its edge."""
    coarse, fine = _split_scales(hu, spacing)
    structures = (np.abs(coarse - tissue.mean) > 4 * tissue.coarse_sd) | (np.abs(fine) > 5 * tissue.fine_sd)
    structures = binary_dilation(structures, np.ones((1, 3, 3), bool))
    limit = np.where(structures, 0.5, 5.0)
    inside = tissue.mean + contrast
    inside = inside + np.clip(coarse - tissue.mean, -limit * tissue.coarse_sd, limit * tissue.coarse_sd)
    inside = inside + np.clip(fine, -limit * tissue.fine_sd, limit * tissue.fine_sd)
    return np.where(share > 0, hu + share * (inside - hu), hu).astype(np.float32)
