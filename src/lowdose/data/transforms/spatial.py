"""Random deformation of a slice and its labels: zoom, rotation, shear and smooth displacement, in one resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lowdose.image import AIR, HU

CELLS = (0.27, 0.09)
"""Distance between the control points of each displacement field, as a fraction of the width of the field of view."""


@dataclass(frozen=True)
class RandomElasticAffine:
    """Random affine and elastic deformation of a slice.

    Attributes
    ----------
    field_mm : (mm, mm)
        Range of the width of the field of view, log-uniform.
    turn : degrees
        Standard deviation of the rotation.
    stretch : float
        Standard deviation of the scale along each axis and of the shear.
    reach : tuple of float
        Largest standard deviation of each displacement field, as a fraction of the width, one for each of ``CELLS``.
    odd : float
        Share of slices that are also turned onto a side or onto the belly, as sometimes happens with patients and
        files; slices are never mirrored, since no body is.
    """

    field_mm: tuple[float, float] = (250.0, 480.0)
    turn: float = 7.0
    stretch: float = 0.08
    reach: tuple[float, ...] = (0.026, 0.007)
    odd: float = 0.12

    def apply(
        self, hu: HU, labels: NDArray[np.uint8], pixel_mm: tuple[float, float], size: int, rng: np.random.Generator
    ) -> tuple[HU, NDArray[np.uint8]]:
        """Deform a (y, x) slice in HU and its labels to (size, size) HU and (size / 2, size / 2) labels.

        pixel_mm: (down the rows, along the columns). Labels are sampled at the centres of the half-resolution pixels,
        where the anatomy network has its outputs.
        """
        matrix, shift = self._random_affine(hu.shape, pixel_mm, size, rng)
        fields = [_random_displacement(size, cell, reach, rng) for cell, reach in zip(CELLS, self.reach, strict=True)]
        fine = _sampling_grid(size, size, matrix, shift, fields, hu.shape)
        half = _sampling_grid(size // 2, size, matrix, shift, fields, hu.shape)
        image = torch.from_numpy(np.asarray(hu, np.float32) - AIR)[None, None]
        deformed = functional.grid_sample(image, fine, mode="bilinear", padding_mode="zeros", align_corners=False)
        label_image = torch.from_numpy(np.array(labels, np.float32))[None, None]
        sampled = functional.grid_sample(label_image, half, mode="nearest", padding_mode="zeros", align_corners=False)
        return deformed[0, 0].numpy() + AIR, sampled[0, 0].numpy().astype(np.uint8)

    def _random_affine(
        self, shape: tuple[int, ...], pixel_mm: tuple[float, float], size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw the matrix and the shift from result to slice pixels, both (x, y) from the middle of their image."""
        result_pixel_mm = float(np.exp(rng.uniform(*np.log(self.field_mm)))) / size
        angle = np.radians(rng.normal(0, self.turn))
        c, s = np.cos(angle), np.sin(angle)
        scale_and_shear = np.eye(2) + rng.normal(0, self.stretch, (2, 2)).clip(-2 * self.stretch, 2 * self.stretch)
        matrix = np.array([[c, -s], [s, c]]) @ scale_and_shear * result_pixel_mm
        if rng.random() < self.odd:
            matrix = matrix @ _PATIENT_TURNS[int(rng.integers(len(_PATIENT_TURNS)))]
        matrix = matrix / np.array(pixel_mm[::-1])[:, None]
        largest_shift = 0.12 * np.array(shape[::-1])
        return torch.from_numpy(matrix.astype(np.float32)), torch.from_numpy(
            rng.uniform(-largest_shift, largest_shift).astype(np.float32)
        )


# Turns onto the belly and onto either side.
_PATIENT_TURNS = tuple(np.array(turn, float) for turn in (((-1, 0), (0, -1)), ((0, -1), (1, 0)), ((0, 1), (-1, 0))))


def _random_displacement(size: int, cell: float, reach: float, rng: np.random.Generator) -> Tensor:
    """Draw a (1, 2, size, size) displacement in pixels of the result: random at control points, smooth in between."""
    count = round(1 / cell) + 3
    amount = reach * size * rng.random()
    edge = round(cell * size)
    points = torch.from_numpy(rng.normal(0, amount, (1, 2, count, count)).astype(np.float32))
    smooth = functional.interpolate(points, size=(size + 2 * edge,) * 2, mode="bicubic", align_corners=False)
    return smooth[..., edge : edge + size, edge : edge + size]


def _sampling_grid(
    count: int, size: int, matrix: Tensor, shift: Tensor, fields: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Return the positions in the slice of count x count pixel centres: (1, count, count, 2), for ``grid_sample``."""
    at = (torch.arange(count, dtype=torch.float32) + 0.5) * (size / count) - size / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    places = torch.stack([x, y])
    for field in fields:
        places = places + functional.interpolate(field, size=(count, count), mode="bilinear", align_corners=False)[0]
    moved = torch.einsum("ab,bhw->hwa", matrix, places) + shift
    return (2 * moved / torch.tensor([shape[1], shape[0]]))[None]
