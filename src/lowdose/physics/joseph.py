"""Joseph's method: a table of where each ray crosses the rows or columns of the pixel grid, used on every device.

A ray that runs more along y than along x crosses every row once; its line integral is the sum over rows of the values
interpolated linearly between the two pixels beside the crossing, times the ray length between rows (Joseph, IEEE TMI
1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.physics.geometry import Beam, Grid, check_within


@dataclass(frozen=True)
class RayTable:
    """Crossings of each ray with the pixel grid; all arrays have the shape (views * detectors,).

    A steep ray crosses row i at column position offset + slope * i, a flat ray crosses column i at that row position.
    Positions are counted in a grid with one empty pixel at either end.

    Attributes
    ----------
    shape : (int, int)
        Views and detectors.
    offset : pixels
        Position at row (or column) 0.
    slope : pixels
        Change of the position from one row (or column) to the next.
    step : mm
        Length of the ray between two rows (or columns).
    steep : bool
        Whether the ray runs more along y than along x.
    """

    shape: tuple[int, int]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    step: NDArray[np.float64]
    steep: NDArray[np.bool_]


def ray_table(beam: Beam, grid: Grid) -> RayTable:
    """Compute the crossings of every ray of a scan; raise InvalidSetting when the grid reaches the source."""
    check_within(beam, grid)
    points, directions = beam.rays()
    y, x = grid.axes()
    places = (points - np.array([y[0], x[0]])) / np.array(grid.pixel_mm)
    directions = directions / np.array(grid.pixel_mm)
    steep = np.abs(directions[:, 0]) >= np.abs(directions[:, 1])
    (direction_y, direction_x), (place_y, place_x) = directions.T, places.T
    major, minor = np.where(steep, direction_y, direction_x), np.where(steep, direction_x, direction_y)
    slope = minor / major
    offset = np.where(steep, place_x, place_y) - slope * np.where(steep, place_y, place_x)
    return RayTable((beam.views, beam.detectors), offset + 1.0, slope, 1.0 / np.abs(major), steep)
