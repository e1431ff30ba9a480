"""One CT slice in HU, the voxel grid of its series in patient space, and how the series was acquired."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch

HU = NDArray[np.float32]
"""Array of Hounsfield units, float32, of any shape."""
Mask = NDArray[np.bool_]
"""Boolean array."""
Vector = tuple[float, float, float]
"""Three numbers."""

AIR = np.float32(-1000.0)
"""HU that pictures and networks receive for pixels in which the scanner stored padding."""

AXIAL: tuple[Vector, Vector, Vector] = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Directions of an axial stack: one unit vector (x, y, z) in LPS per array axis (z, y, x)."""


@overload
def mean_side(pixel_mm: tuple[float, float]) -> float: ...


@overload
def mean_side(pixel_mm: tuple[float, float] | None) -> float | None: ...


def mean_side(pixel_mm: tuple[float, float] | None) -> float | None:
    """Return the geometric mean of the two sides of a pixel in mm, or None where they are not stated."""
    return float(np.sqrt(pixel_mm[0] * pixel_mm[1])) if pixel_mm else None


@dataclass(frozen=True)
class Geometry:
    """Position of the voxel grid of a series in patient space.

    All lengths are in mm. All points and vectors are (x, y, z) in DICOM's patient axes, LPS: x grows towards the
    patient's left, y towards the back, z towards the head. ``spacing`` and ``direction`` have one entry per array axis,
    in array order (z, y, x).

    Attributes
    ----------
    spacing : tuple of 3 floats, mm
        Distance between voxel centres from slice to slice, from row to row and from column to column. All positive.
    origin : tuple of 3 floats, mm
        Centre of voxel [0, 0, 0], (x, y, z) in LPS.
    direction : tuple of 3 unit vectors
        LPS direction from slice to slice, from row to row and from column to column. The default is an axial stack.

    Raises
    ------
    GeometryMismatch
        If a spacing is not a positive, finite number.

    Examples
    --------
    >>> from lowdose.image import Geometry
    >>> geometry = Geometry(spacing=(3.0, 0.5, 0.5), origin=(-128.0, -128.0, 40.0))
    >>> geometry.direction[0]
    (0.0, 0.0, 1.0)
    >>> geometry.pixel_mm
    0.5
    """

    spacing: Vector
    origin: Vector = (0.0, 0.0, 0.0)
    direction: tuple[Vector, Vector, Vector] = AXIAL

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.spacing)) or min(self.spacing) <= 0:
            raise GeometryMismatch(f"voxel spacing {self.spacing} mm: all three must be positive numbers")

    @property
    def pixel_mm(self) -> float:
        """Geometric mean of the two in-plane spacings, in mm."""
        return float(np.sqrt(self.spacing[1] * self.spacing[2]))


@dataclass(frozen=True)
class Acquisition:
    """How a series was acquired and reconstructed, as its header states it.

    There is deliberately no dose here: simulated low-dose files carry the exposure of the full-dose scan, so the
    mAs says nothing about the noise. The noise level is measured in the pixels instead.

    Attributes
    ----------
    kernel : str or None
        Name of the convolution kernel of the reconstruction, for example "B30f". None where it is not stated.
    thickness_mm : float or None
        Nominal slice thickness in mm. None where it is not stated.
    kvp : float or None
        Peak tube voltage in kV. None where it is not stated.
    manufacturer : str or None
        Manufacturer of the scanner. None where it is not stated.

    Examples
    --------
    >>> from lowdose.image import Acquisition
    >>> Acquisition(kernel="B30f", thickness_mm=3.0, kvp=120.0)
    Acquisition(kernel='B30f', thickness_mm=3.0, kvp=120.0, manufacturer=None)
    """

    kernel: str | None = None
    thickness_mm: float | None = None
    kvp: float | None = None
    manufacturer: str | None = None


@dataclass(frozen=True)
class Slice:
    """One image of a series.

    Attributes
    ----------
    hu : (y, x) array of float32, HU
        Pixel values. They mean something only where ``valid`` is True.
    valid : (y, x) array of bool
        False where the scanner stored padding or nothing was reconstructed.
    position : float or None, mm
        Position along the slice normal. None where it is not stated.
    pixel_mm : tuple of 2 floats or None, mm
        Distance from row to row and from column to column. None where it is not stated.
    origin : object
        What the reader of the file needs to write the slice back. Only that file format looks inside.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.image import Slice
    >>> hu = np.array([[-2000.0, 40.0]], dtype=np.float32)
    >>> valid = np.array([[False, True]])
    >>> image = Slice(hu, valid, position=12.5, pixel_mm=(0.5, 0.5))
    >>> image.in_air.tolist()
    [[-1000.0, 40.0]]
    >>> image.mean_pixel_mm
    0.5
    """

    hu: HU
    valid: Mask
    position: float | None
    pixel_mm: tuple[float, float] | None
    origin: Any = field(default=None, repr=False, compare=False)

    @property
    def mean_pixel_mm(self) -> float | None:
        """Geometric mean of the two sides of a pixel in mm, or None where they are not stated."""
        return mean_side(self.pixel_mm)

    @property
    def in_air(self) -> HU:
        """Pixel values, (y, x) in HU, with -1000 HU (air) where ``valid`` is False."""
        return np.where(self.valid, self.hu, AIR)

    @property
    def aspect(self) -> float:
        """Height of a pixel divided by its width, or 1 where the pixel size is not stated."""
        return self.pixel_mm[0] / self.pixel_mm[1] if self.pixel_mm else 1.0
