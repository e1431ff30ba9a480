"""Small NIfTI files of HU."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from support.synthetic_dicom import anatomy

AXIAL = np.diag([-0.7, -0.8, 2.0, 1.0])


def hu_stack() -> NDArray[np.int16]:
    """Return (z, y, x) = (3, 40, 64) HU."""
    return np.stack([anatomy(index)[:40] for index in range(3)]).astype(np.int16)


def save_nifti(
    path: Path,
    hu: NDArray[np.int16] | None = None,
    shape: tuple[int, ...] | None = None,
    affine: NDArray[np.float64] = AXIAL,
    rgb: bool = False,
) -> Path:
    """Write (z, y, x) HU, ``hu_stack`` if left out, as (x, y, z) or in another shape; or a black picture in colours."""
    values = (hu_stack() if hu is None else hu).transpose(2, 1, 0)
    if shape is not None:
        values = values.reshape(shape, order="F")
    if rgb:
        values = np.zeros((8, 8, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.Nifti1Image(values, affine).to_filename(path)
    return path
