"""Where each pixel's shadow falls on the detectors of each view, and its weight: the same formulas on every device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.physics.geometry import Beam, FanBeam, Grid, check_within


@dataclass(frozen=True)
class ShadowTable:
    """sin, cos: (views,). y, x: pixel centres, mm. source_mm: of a fan; 0 = parallel rays.

    A pixel at depth U = source_mm + y cos - x sin and side V = y sin + x cos falls on detector ``centre`` + ``scale`` *
    (atan(V / U), or V itself where rays are parallel), counted with one empty detector before the first. A fan's weight
    is 1 / (U^2 + V^2), that of parallel rays 1 (Kak & Slaney, 1988, eq. 3.87 and 3.37).
    """

    sin: NDArray[np.float64]
    cos: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    source_mm: float
    scale: float
    centre: float
    detectors: int


def shadow_table(beam: Beam, grid: Grid, upsampling: int = 1) -> ShadowTable:
    """The table of a scan and a grid, for lines with ``upsampling`` samples from each detector on.

    Raises InvalidSetting when the grid reaches the source.
    """
    if upsampling < 1:
        raise InvalidSetting(f"upsampling {upsampling}: needs one sample for each detector at least")
    check_within(beam, grid)
    angles, (y, x) = beam.angles(), grid.axes()
    source, scale = (beam.source_mm, 1 / beam.fan_step) if isinstance(beam, FanBeam) else (0.0, 1 / beam.sample_mm)
    centre = ((beam.detectors - 1) / 2 - beam.offset) * upsampling + 1.0
    return ShadowTable(
        np.sin(angles), np.cos(angles), y, x, source, scale * upsampling, centre, beam.detectors * upsampling
    )


def _arctangent(terms: int = 10) -> tuple[float, ...]:
    """Coefficients of an odd polynomial for atan on [-1, 1], good to 2e-9: fans are less than 45 degrees to a side.

    A polynomial is what compiles to vector instructions; both directions and all devices use the same one.
    """
    r = np.cos(np.linspace(0, np.pi / 2, 4001)[:-1])
    found, *_ = np.linalg.lstsq(r[:, None] ** (2 * np.arange(terms)), np.arctan(r) / r, rcond=None)
    return tuple(float(value) for value in found)


ARCTANGENT = _arctangent()
