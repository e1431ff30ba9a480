"""Series of a few pixels in memory, and a segmenter that is a threshold, so that every number is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from lowdose.image import Acquisition, Geometry, Slice
from lowdose.io.arrays import planes
from lowdose.io.pairing import PairedSeries
from lowdose.organ_classes import INDEX

LIVER, SPLEEN = INDEX["liver"], INDEX["spleen"]
GEOMETRY = Geometry((5.0, 2.0, 2.0), (0.0, 0.0, 30.0))  # voxels of 20 mm3


class Series:
    """A ``Source`` of (z, y, x) HU; ``reads`` remembers which slices were asked for."""

    def __init__(
        self, hu: np.ndarray, geometry: Geometry | None = GEOMETRY, valid: np.ndarray | None = None, path: str = "full"
    ) -> None:
        self.hu = hu.astype(np.float32)
        self.valid = np.ones(hu.shape, bool) if valid is None else valid
        self.path, self.geometry, self.acquisition = Path(path), geometry, Acquisition(thickness_mm=4.0)
        self.planes = planes(geometry, len(hu), hu.shape[1:])
        self.uids: dict[str, object] = {}
        self.warnings: list[str] = []
        self.reads: list[int] = []

    def __len__(self) -> int:
        return len(self.hu)

    def read(self, index: int) -> Slice:
        self.reads.append(index)
        plane = self.planes[index]
        return Slice(self.hu[index], self.valid[index], plane.position, plane.pixel_mm)


def case(low: Any, full: Any, name: str = "series 1", patient: int = 1, pairs: Any = None) -> PairedSeries:
    pairs = [(index, index) for index in range(len(full))] if pairs is None else pairs
    return PairedSeries(name, patient, low, full, pairs, ["odd gaps."])


def by_threshold(network: object, hu: np.ndarray, pixel_mm: object) -> np.ndarray:
    """Above 150 HU spleen, above 50 HU liver, the rest body or outside."""
    return np.select([hu > 150, hu > 50, hu > -500], [SPLEEN, LIVER, INDEX["body"]], INDEX["outside"]).astype(np.uint8)


def artist() -> Any:
    """The anatomy segmenter; ``by_threshold`` is to be put in the place of its network."""
    from lowdose.evaluation.segmenters import AnatomySegmenter

    return AnatomySegmenter(SimpleNamespace(), "thresholds", "", torch.device("cpu"))  # type: ignore[arg-type]
