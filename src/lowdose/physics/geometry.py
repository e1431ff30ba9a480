"""Scan geometry of one slice: the rays of fan-beam and parallel-beam scans, and the pixel grid that they cross.

Axes of a slice: x along the columns of its array, y down its rows, in mm; the axis of rotation is at (0, 0). A view at
angle a (radians) looks along (x, y) = (-sin a, cos a): at a = 0 the source stands above the first row, and detectors
count up with x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a slice.

    Attributes
    ----------
    shape : (ny, nx)
        Rows and columns.
    pixel_mm : (dy, dx), mm
        Pixel size.
    centre_mm : (y, x), mm
        Position of the middle of the slice relative to the axis of rotation.
    """

    shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    centre_mm: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 2:
            raise InvalidSetting(f"a slice of {self.shape} pixels: needs two rows and two columns at least")
        _check_positive("pixel size", *self.pixel_mm)
        if not np.isfinite(self.centre_mm).all():
            raise InvalidSetting(f"centre of the slice at {self.centre_mm} mm: must be numbers")

    def axes(self) -> tuple[Array, Array]:
        """Return the pixel centres y (ny,) and x (nx,) in mm."""
        y, x = (
            centre + (np.arange(n, dtype=np.float64) - (n - 1) / 2) * step
            for n, step, centre in zip(self.shape, self.pixel_mm, self.centre_mm, strict=True)
        )
        return y, x


@dataclass(frozen=True)
class FanBeam:
    """A fan-beam scan over a full turn with equiangular detectors on an arc, as in third-generation scanners.

    The defaults are those of a Siemens Somatom Definition AS+ after rebinning of its flying focal spot (helix2fan; FDA
    LCD_CT): a field of view of 502 mm and samples 0.705 mm wide at the axis.

    Attributes
    ----------
    views : int
        Views per turn.
    detectors : int
        Detectors on the arc.
    pitch_mm : mm
        Width of a detector on the arc.
    source_mm : mm
        Distance from source to axis (SID).
    detector_mm : mm
        Distance from source to detector (SDD).
    offset : detectors
        Shift of the detectors; 0.25 is the usual quarter-detector offset, which makes opposite rays interleave.
    """

    views: int = 1152
    detectors: int = 736
    pitch_mm: float = 1.2858
    source_mm: float = 595.0
    detector_mm: float = 1085.6
    offset: float = 0.25

    def __post_init__(self) -> None:
        _check_counts(self.views, self.detectors, self.offset)
        _check_positive(
            "detector pitch, source to axis, source to detector", self.pitch_mm, self.source_mm, self.detector_mm
        )
        if self.detector_mm <= self.source_mm:
            raise InvalidSetting(
                f"source to detector {self.detector_mm} mm: must be more than source to axis, {self.source_mm} mm"
            )
        if abs(self.fans()).max() >= np.pi / 4:
            raise InvalidSetting(
                f"{self.detectors} detectors of {self.pitch_mm} mm at {self.detector_mm} mm: a fan of more than 90 "
                "degrees; give fewer or narrower detectors"
            )

    @property
    def fan_step(self) -> float:
        """Angle between neighbouring rays, radians."""
        return self.pitch_mm / self.detector_mm

    @property
    def sample_mm(self) -> float:
        """Distance between neighbouring rays at the axis, mm."""
        return self.fan_step * self.source_mm

    @property
    def radius_mm(self) -> float:
        """Radius (mm) of the measured field around the axis: what lies farther out is not seen in every view."""
        return float(self.source_mm * np.sin(abs(self.fans()[[0, -1]]).min()))

    def angles(self) -> Array:
        """Return the view angles (views,) in radians, over a full turn."""
        return np.arange(self.views, dtype=np.float64) * (2 * np.pi / self.views)

    def fans(self) -> Array:
        """Return the fan angles (detectors,): the angle of each ray from the central one in radians."""
        return (np.arange(self.detectors, dtype=np.float64) - (self.detectors - 1) / 2 + self.offset) * self.fan_step

    def rays(self) -> tuple[Array, Array]:
        """Return a point (mm) on each ray and its unit direction, both (views * detectors, 2) as (y, x)."""
        angle, fan = np.broadcast_arrays(self.angles()[:, None], self.fans()[None, :])
        source = self.source_mm * np.stack([-np.cos(angle), np.sin(angle)], axis=-1)
        directions = np.stack([np.cos(angle - fan), -np.sin(angle - fan)], axis=-1)
        return source.reshape(-1, 2), directions.reshape(-1, 2)


@dataclass(frozen=True)
class ParallelBeam:
    """A parallel-beam scan over half a turn.

    Attributes
    ----------
    views : int
        Views per half turn.
    detectors : int
        Rays per view.
    sample_mm : mm
        Distance between neighbouring rays.
    offset : samples
        Shift of the rays, in units of ``sample_mm``.
    """

    views: int = 1152
    detectors: int = 736
    sample_mm: float = 0.7
    offset: float = 0.0

    def __post_init__(self) -> None:
        _check_counts(self.views, self.detectors, self.offset)
        _check_positive("distance between rays", self.sample_mm)

    @property
    def radius_mm(self) -> float:
        """Radius (mm) of the measured field around the axis: what lies farther out is not seen in every view."""
        return float(abs(self.positions()[[0, -1]]).min())

    def angles(self) -> Array:
        """Return the view angles (views,) in radians, over half a turn."""
        return np.arange(self.views, dtype=np.float64) * (np.pi / self.views)

    def positions(self) -> Array:
        """Return the signed distance (detectors,) of each ray from the axis in mm."""
        return (np.arange(self.detectors, dtype=np.float64) - (self.detectors - 1) / 2 + self.offset) * self.sample_mm

    def rays(self) -> tuple[Array, Array]:
        """Return a point (mm) on each ray and its unit direction, both (views * detectors, 2) as (y, x)."""
        angle, position = np.broadcast_arrays(self.angles()[:, None], self.positions()[None, :])
        points = position[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        directions = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
        return points.reshape(-1, 2), directions.reshape(-1, 2)


Beam = FanBeam | ParallelBeam


def check_within(beam: Beam, grid: Grid) -> None:
    """Raise InvalidSetting when the grid reaches the source of a fan beam, where the weights are unbounded."""
    farthest = max(np.hypot(y, x) for y in grid.axes()[0][[0, -1]] for x in grid.axes()[1][[0, -1]])
    if isinstance(beam, FanBeam) and farthest >= beam.source_mm:
        raise InvalidSetting(
            f"a slice that reaches {farthest:.0f} mm from the axis, with the source at {beam.source_mm:g} mm: give "
            "fewer or smaller pixels, or the right centre"
        )


def _check_counts(views: int, detectors: int, offset: float) -> None:
    if views < 1 or detectors < 2:
        raise InvalidSetting(f"{views} views of {detectors} detectors: needs a view and two detectors at least")
    if not abs(offset) < detectors / 2:
        raise InvalidSetting(f"{detectors} detectors shifted by {offset:g}: no ray would pass near the axis")


def _check_positive(what: str, *values: float) -> None:
    if not all(np.isfinite(values)) or min(values) <= 0:
        raise InvalidSetting(f"{what} {', '.join(f'{value:g}' for value in values)} mm: must be positive")
