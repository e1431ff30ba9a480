"""Synthetic CT series of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowdose.image import Geometry
from lowdose.infer.engines import accuracy_check
from lowdose.io.dicom.new_series import write_new_series
from lowdose.volume import Volume


def write_series(folder: Path, slices: int) -> None:
    """Write a DICOM series of 512 x 512 pixels.

    Every slice is the built-in reference slice, tiled two by two, within the circle that scanners reconstruct.
    """
    image = np.tile(accuracy_check.reference_slice()[0, 0].numpy(), (2, 2))
    y, x = np.mgrid[-256:256, -256:256]
    image = np.where(np.hypot(y, x) > 256, -1024.0, np.maximum(image, -1024.0)).astype(np.float32)
    stack = np.broadcast_to(image, (slices, *image.shape))
    write_new_series(Volume(stack, Geometry((1.0, 0.7, 0.7))), folder, description="performance")
