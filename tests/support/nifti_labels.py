"""NIfTI files of labels whose axes are stored in any order and direction, as other programs write them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np


def save(
    path: Path,
    values: np.ndarray,
    matrix: np.ndarray,
    order: tuple[int, ...] = (0, 1, 2),
    flips: tuple[int, ...] = (1, 1, 1),
) -> Path:
    """(z, y, x) values in the space of ``matrix``, their (x, y, z) axes put in another order and turned round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values.transpose(2, 1, 0)
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        turn[old, new] = flip
        turn[old, 3] = 0 if flip > 0 else values.shape[old] - 1
    stored = values.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
    nib.Nifti1Image(stored, matrix @ turn).to_filename(path)
    return path
