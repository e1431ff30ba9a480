"""Joseph's method: where each ray crosses the rows or columns of the pixel grid, one table for every device.

A ray that runs more along y than along x crosses every row once; its line integral is the sum over rows of the values
interpolated linearly between the two pixels beside the crossing, times the length between rows (Joseph, IEEE TMI 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.physics.geometry import Beam, Grid, check_within


@dataclass(frozen=True)
class RayTable:
    """Each array (views * detectors,). A steep ray meets row i between columns at offset + slope * i, a flat one
    column i between rows there, counted in a grid with one empty pixel at either end; step: mm of ray for each."""

    shape: tuple[int, int]
    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    step: NDArray[np.float64]
    steep: NDArray[np.bool_]


def ray_table(beam: Beam, grid: Grid) -> RayTable:
    """The crossings of every ray of a scan. Raises InvalidSetting when the grid reaches the source."""
    check_within(beam, grid)
    points, along = beam.rays()
    y, x = grid.axes()
    places = (points - np.array([y[0], x[0]])) / np.array(grid.pixel_mm)
    along = along / np.array(grid.pixel_mm)
    steep = np.abs(along[:, 0]) >= np.abs(along[:, 1])
    (along_y, along_x), (place_y, place_x) = along.T, places.T
    major, minor = np.where(steep, along_y, along_x), np.where(steep, along_x, along_y)
    slope = minor / major
    offset = np.where(steep, place_x, place_y) - slope * np.where(steep, place_y, place_x)
    return RayTable((beam.views, beam.detectors), offset + 1.0, slope, 1.0 / np.abs(major), steep)
