"""A whole CT series in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lowdose.errors import GeometryMismatch
from lowdose.image import HU, Acquisition, Geometry, Mask
from lowdose.io.source import Source


@dataclass(frozen=True)
class Volume:
    """A whole series in memory: hu is (z, y, x) float32 in HU; valid marks what was reconstructed."""

    hu: HU
    geometry: Geometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    valid: Mask | None = None

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.float32:
            raise GeometryMismatch(f"a volume is (z, y, x) float32, not {self.hu.shape} {self.hu.dtype}")
        if self.valid is not None and self.valid.shape != self.hu.shape:
            raise GeometryMismatch(f"the mask {self.valid.shape} does not fit the volume {self.hu.shape}")

    def with_hu(self, hu: HU) -> Volume:
        """The same place and acquisition, other values of the same shape."""
        if hu.shape != self.hu.shape:
            raise GeometryMismatch(f"values of shape {hu.shape} do not fit a volume of shape {self.hu.shape}")
        return replace(self, hu=hu)


def read_volume(source: Source) -> Volume:
    """All slices in memory, (z, y, x) HU. Raises GeometryMismatch when they do not form one grid."""
    if source.geometry is None:
        reasons = " ".join(source.warnings) or "Its positions or spacing are unknown."
        raise GeometryMismatch(f"the series is not one regular grid, so it cannot be taken as a volume. {reasons}")
    slices = [source.read(index) for index in range(len(source))]
    hu, valid = np.stack([part.hu for part in slices]), np.stack([part.valid for part in slices])
    return Volume(hu, source.geometry, source.acquisition, valid)
