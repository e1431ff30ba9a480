"""Organ labels and masks as NIfTI, in the space of the CT series that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.volume import Geometry


def write_labels(labels: NDArray[np.uint8], geometry: Geometry, path: Path) -> None:
    """Writes (z, y, x) whole numbers as a .nii or .nii.gz. Raises GeometryMismatch unless they are a uint8 volume."""
    if labels.ndim != 3 or labels.dtype != np.uint8:
        raise GeometryMismatch(f"labels of shape {labels.shape} and type {labels.dtype}: need (z, y, x) uint8")
    image: Any = nib.Nifti1Image(labels.transpose(2, 1, 0), affine(geometry))  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def affine(geometry: Geometry) -> NDArray[np.float64]:
    """Voxel (x, y, z) -> mm, (4, 4): NIfTI's axes point right, front, up where DICOM's point left, back, up."""
    to_ras = np.diag([-1.0, -1.0, 1.0])
    matrix = np.eye(4)
    axes = np.array(geometry.direction[::-1]).T * np.array(geometry.spacing[::-1])
    matrix[:3, :3] = to_ras @ axes
    matrix[:3, 3] = to_ras @ np.array(geometry.origin)
    return matrix
