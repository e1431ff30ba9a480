"""One CT slice in HU, the grid it lies on in patient space, and how the series was acquired."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch

HU = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector = tuple[float, float, float]

AIR = np.float32(-1000.0)
"""HU shown or given to a network where a scanner stored padding."""

AXIAL: tuple[Vector, Vector, Vector] = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


@overload
def mean_side(pixel_mm: tuple[float, float]) -> float: ...


@overload
def mean_side(pixel_mm: tuple[float, float] | None) -> float | None: ...


def mean_side(pixel_mm: tuple[float, float] | None) -> float | None:
    """Geometric mean of a pixel's sides, mm; None where they are not stated."""
    return float(np.sqrt(pixel_mm[0] * pixel_mm[1])) if pixel_mm else None


@dataclass(frozen=True)
class Geometry:
    """Where the voxels lie: everything in mm, in DICOM's patient axes (LPS), array order (z, y, x).

    ``direction`` holds one unit vector per array axis: along the slices, down the rows, along the columns.
    """

    spacing: Vector
    origin: Vector = (0.0, 0.0, 0.0)
    direction: tuple[Vector, Vector, Vector] = AXIAL

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.spacing)) or min(self.spacing) <= 0:
            raise GeometryMismatch(f"voxel spacing {self.spacing} mm: all three must be positive numbers")

    @property
    def pixel_mm(self) -> float:
        """Geometric mean of the in-plane spacings, in mm."""
        return float(np.sqrt(self.spacing[1] * self.spacing[2]))


@dataclass(frozen=True)
class Acquisition:
    """How the series was made, as its header states it; None = not stated.

    There is no dose here on purpose: simulated low-dose files carry the exposure of the full-dose scan, so mAs
    tells nothing about the noise. The noise level is measured in the pixels.
    """

    kernel: str | None = None
    thickness_mm: float | None = None
    kvp: float | None = None
    manufacturer: str | None = None


@dataclass(frozen=True)
class Slice:
    """One image of a series.

    hu: (y, x) float32, HU. valid: (y, x), False where the scanner stored padding or nothing was reconstructed.
    position: mm along the slice normal; None = not stated. origin is what the reader needs to write it back.
    """

    hu: HU
    valid: Mask
    position: float | None
    pixel_mm: tuple[float, float] | None
    origin: Any = field(default=None, repr=False, compare=False)

    @property
    def mean_pixel_mm(self) -> float | None:
        """Geometric mean of a pixel's sides, mm."""
        return mean_side(self.pixel_mm)

    @property
    def in_air(self) -> HU:
        """(y, x) HU with air where the scanner stored padding."""
        return np.where(self.valid, self.hu, AIR)

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width; 1 where it is not stated."""
        return self.pixel_mm[0] / self.pixel_mm[1] if self.pixel_mm else 1.0
