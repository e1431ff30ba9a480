"""Compiled loops that set the HU and the label of each pixel of an organ, with the texture of its tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.phantom.drawing.distances import F32
from lowdose.physics.compiled import compiled

FAR = 1e3
"""Distance in mm that stands for "outside everything"."""

# Kinds of content. MUSCLE_LAYERS: the three flat muscles of the abdominal wall with fat between them. LABEL_ONLY: sets
# labels but no HU. REGION_ONLY: paints nothing and only defines a region for other organs.
PLAIN, FAECES, LUNG, MUSCLE, FAT, MUSCLE_LAYERS, LABEL_ONLY, REGION_ONLY = range(8)
_FAT_HU, _GAS_HU = -95.0, -985.0


@compiled(fastmath=True)
def _ramp(x: float) -> float:
    """Clip to 0..1."""
    return min(max(x, 0.0), 1.0)


@compiled(fastmath=True)
def _tissue_hu(kind: int, t0: float, t1: float, t2: float, t3: float, share: float, y: float, value: float) -> float:
    """Add to ``value``, the mean and texture of a tissue in HU, the structures that its kind contains."""
    if kind == FAECES:
        bubble = _ramp((t1 + 0.7 * t0 - share) * 2.2)
        return value + bubble * (-820.0 - value)
    if kind == LUNG:
        # Dependent lung is denser: 0.5 HU per mm.
        return value + 0.5 * y
    if kind == MUSCLE or kind == MUSCLE_LAYERS:  # noqa: SIM109
        # Planes of fat with gaps, so that they end within the muscle instead of dividing it into cells.
        plane = abs(t3) + 0.25 * max(0.3 - t2, 0.0)
        return value + 0.75 * _ramp((share - plane) / 0.12 + 0.35) * (_FAT_HU - value)
    if kind == FAT:
        return value + 55.0 * _ramp((share - abs(t3)) / 0.06)
    return value


@compiled(fastmath=True)
def _fat_between_layers(distance: float, beyond: float, x: float) -> float:
    """Return the share of fat between the three flat muscles of the abdominal wall.

    Arguments are signed distances in mm from the outer and the inner face of the wall and the distance from the
    midline.
    """
    thick = beyond - distance
    part = -3.0 * distance / (thick + 1e-3)
    if thick < 10.0 or thick > 36.0 or part < 0.5 or part > 2.5:
        return 0.0
    away = abs(part - round(part)) * thick / 3.0
    return 0.7 * _ramp((abs(x) - 70.0) / 25.0) * _ramp(1.2 - away / 0.7)


@compiled(fastmath=True)
def rasterise_organ(
    hu: F32, labels: NDArray[np.uint8], d: F32, region: F32, t: F32, pixel: float, top: float, left: float, kind: int,
    label: int, numbers: NDArray[np.float64],
) -> None:  # fmt: skip
    """Paint one organ over ``hu`` and ``labels`` (h, w), in place.

    ``d`` are the signed distances in mm from the organ, ``region`` those from the region that it must stay within.
    ``t`` are the texture fields (4, h, w), ``top`` and ``left`` the position of the first pixel in mm. ``numbers`` are
    the values of ``compositing.Material`` and of its organ in the order in which they are unpacked below.
    """
    base, grain, mottle, clouds, wall, wall_hu, share, gas_y, rough, inset = numbers
    for i in range(hu.shape[0]):
        y = top + i * pixel
        for j in range(hu.shape[1]):
            if d[i, j] > pixel + 3.0 * rough:
                continue
            t0, t1, t2, t3 = t[0, i, j], t[1, i, j], t[2, i, j], t[3, i, j]
            distance, beyond = d[i, j] + rough * t2, region[i, j] + inset
            cover = _ramp(0.5 - distance / pixel)
            if kind != MUSCLE_LAYERS:
                cover *= _ramp(0.5 - beyond / pixel)
            if cover <= 0.0:
                continue
            value = _tissue_hu(kind, t0, t1, t2, t3, share, y, base + grain * t0 + mottle * t1 + clouds * t2)
            if kind == MUSCLE_LAYERS:
                value += 0.75 * _fat_between_layers(distance, beyond, left + j * pixel) * (_FAT_HU - value)
            value += _ramp((gas_y - y) / pixel + 0.5) * (_GAS_HU - value)
            if wall > 0.0:
                depth = wall * (1.0 + 0.16 * t1 + 0.2 * t2) + distance
                value += _ramp(depth / pixel + 0.5) * (wall_hu + grain * t0 - value)
            if kind != LABEL_ONLY:
                hu[i, j] += cover * (value - hu[i, j])
            if cover >= 0.5 and label > 0:
                labels[i, j] = label


@compiled(fastmath=True)
def rasterise_couch(hu: F32, labels: NDArray[np.uint8], pixel: float, corner: tuple[float, float], top: float) -> None:
    """Paint a curved couch where the patient is not: a thin cover, foam, and a carbon-fibre shell below.

    ``top`` is the y in mm of the lowest line of its surface.
    """
    for i in range(hu.shape[0]):
        y = corner[0] + i * pixel
        if y < top - 60.0:
            continue
        for j in range(hu.shape[1]):
            x = corner[1] + j * pixel
            if labels[i, j] != 0 or abs(x) > 216.0:
                continue
            deep = y - top + 0.0011 * x * x
            shell = min(abs(deep - 1.5) - 0.7, abs(deep - 28.0) - 1.2)
            foam = max(abs(deep - 15.0) - 13.0, abs(x) - 214.0)
            if foam < 0.0:
                hu[i, j] = max(hu[i, j], -940.0)
            cover = _ramp(0.5 - max(shell, abs(x) - 214.0) / pixel)
            hu[i, j] += cover * (40.0 + 10.0 * deep - hu[i, j])
