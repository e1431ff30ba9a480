"""Geometry of back-projection: on which detector each pixel falls in each view, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.physics.geometry import Beam, FanBeam, Grid, check_within


@dataclass(frozen=True)
class BackprojectionTable:
    """What is needed to project pixel centres (their "shadows") onto the detectors, the same on every device.

    A pixel at depth U = source_mm + y cos - x sin and lateral position V = y sin + x cos falls on the detector
    ``centre`` + ``scale`` * atan(V / U) of a fan beam, or ``centre`` + ``scale`` * V of a parallel beam, counted with
    one empty detector before the first. Its weight is 1 / (U^2 + V^2) in a fan beam and 1 in a parallel beam (Kak &
    Slaney, 1988, eq. 3.87 and 3.37).

    Attributes
    ----------
    sin, cos : (views,)
        Sine and cosine of the view angles.
    y, x : mm
        Pixel centres, (ny,) and (nx,).
    source_mm : mm
        Distance from source to axis of a fan beam, 0 for parallel rays.
    scale : detectors per radian (fan beam) or per mm (parallel beam)
        Density of the detectors.
    centre : detectors
        Detector position of the axis of rotation.
    detectors : int
        Samples per view, upsampling included.
    """

    sin: NDArray[np.float64]
    cos: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    source_mm: float
    scale: float
    centre: float
    detectors: int


def backprojection_table(beam: Beam, grid: Grid, upsampling: int = 1) -> BackprojectionTable:
    """Build the table of a scan and a grid, for projections with ``upsampling`` samples per detector.

    Raises InvalidSetting when the grid reaches the source.
    """
    if upsampling < 1:
        raise InvalidSetting(f"upsampling {upsampling}: needs one sample for each detector at least")
    check_within(beam, grid)
    angles, (y, x) = beam.angles(), grid.axes()
    source, scale = (beam.source_mm, 1 / beam.fan_step) if isinstance(beam, FanBeam) else (0.0, 1 / beam.sample_mm)
    centre = ((beam.detectors - 1) / 2 - beam.offset) * upsampling + 1.0
    return BackprojectionTable(
        np.sin(angles), np.cos(angles), y, x, source, scale * upsampling, centre, beam.detectors * upsampling
    )


def _arctangent(terms: int = 10) -> tuple[float, ...]:
    """Return the coefficients of an odd polynomial that approximates atan on [-1, 1] to 2e-9.

    The range suffices because fans are narrower than 45 degrees on either side. A polynomial compiles to vector
    instructions, and both the map and its adjoint use the same one on all devices.
    """
    r = np.cos(np.linspace(0, np.pi / 2, 4001)[:-1])
    coefficients, *_ = np.linalg.lstsq(r[:, None] ** (2 * np.arange(terms)), np.arctan(r) / r, rcond=None)
    return tuple(float(value) for value in coefficients)


ARCTANGENT = _arctangent()
