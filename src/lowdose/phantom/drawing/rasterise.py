"""Compiled loops that give each pixel of an organ its HU and label, with the texture of its tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.phantom.drawing.distances import F32
from lowdose.physics.compiled import compiled

FAR = 1e3
PLAIN, FAECES, LUNG, MUSCLE, FAT, LAYERS, NAME, NOTHING = range(8)
_FAT_HU, _GAS_HU = -95.0, -985.0


@compiled(fastmath=True)
def _ramp(x: float) -> float:
    return min(max(x, 0.0), 1.0)


@compiled(fastmath=True)
def _content(kind: int, t0: float, t1: float, t2: float, t3: float, share: float, y: float, value: float) -> float:
    """What a tissue of this kind has inside beyond its mean and texture ``value``, HU."""
    if kind == FAECES:
        bubble = _ramp((t1 + 0.7 * t0 - share) * 2.2)
        return value + bubble * (-820.0 - value)
    if kind == LUNG:
        # The lower lying the denser: 0.5 HU per mm.
        return value + 0.5 * y
    if kind == MUSCLE or kind == LAYERS:  # noqa: SIM109
        # Planes of fat, interrupted, so that they end within the muscle instead of cutting it into cells.
        plane = abs(t3) + 0.25 * max(0.3 - t2, 0.0)
        return value + 0.75 * _ramp((share - plane) / 0.12 + 0.35) * (_FAT_HU - value)
    if kind == FAT:
        return value + 55.0 * _ramp((share - abs(t3)) / 0.06)
    return value


@compiled(fastmath=True)
def _layers(distance: float, beyond: float, x: float) -> float:
    """Share of fat between the three flat muscles of the wall; distances from its faces and the midline, mm."""
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
    """Lays one organ over (h, w): ``d`` its distances, ``region`` those of what it must stay within, both mm.

    t: texture fields (4, h, w). top, left: mm of the first pixel in the patient. numbers: see ``paint.Material``.
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
            if kind != LAYERS:
                cover *= _ramp(0.5 - beyond / pixel)
            if cover <= 0.0:
                continue
            value = _content(kind, t0, t1, t2, t3, share, y, base + grain * t0 + mottle * t1 + clouds * t2)
            if kind == LAYERS:
                value += 0.75 * _layers(distance, beyond, left + j * pixel) * (_FAT_HU - value)
            value += _ramp((gas_y - y) / pixel + 0.5) * (_GAS_HU - value)
            if wall > 0.0:
                depth = wall * (1.0 + 0.16 * t1 + 0.2 * t2) + distance
                value += _ramp(depth / pixel + 0.5) * (wall_hu + grain * t0 - value)
            if kind != NAME:
                hu[i, j] += cover * (value - hu[i, j])
            if cover >= 0.5 and label > 0:
                labels[i, j] = label


@compiled(fastmath=True)
def rasterise_couch(hu: F32, labels: NDArray[np.uint8], pixel: float, corner: tuple[float, float], top: float) -> None:
    """A thin cover on foam and a carbon-fibre shell below, curved, wherever the patient is not; top: y in mm."""
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
