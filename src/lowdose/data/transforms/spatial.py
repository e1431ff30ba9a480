"""Random bending of a slice and its labels: zoom, turn, shear, smooth displacement, in one resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lowdose.image import AIR, HU

CELLS = (0.27, 0.09)
"""Distance between the control points of each displacement field, as a share of the width that is seen."""


@dataclass(frozen=True)
class RandomElasticAffine:
    """How far a slice is bent.

    field_mm: range of the width that is seen, log-uniform. turn: SD, degrees. stretch: SD of the scale along each axis
    and of the shear. reach: largest SD of each displacement field, a share of the width like its ``CELLS``. odd: share
    of slices that also lie on a side or on the belly, as patients and files sometimes do; never in a mirror, which no
    body is.
    """

    field_mm: tuple[float, float] = (250.0, 480.0)
    turn: float = 7.0
    stretch: float = 0.08
    reach: tuple[float, ...] = (0.026, 0.007)
    odd: float = 0.12

    def apply(
        self, hu: HU, labels: NDArray[np.uint8], pixel_mm: tuple[float, float], size: int, rng: np.random.Generator
    ) -> tuple[HU, NDArray[np.uint8]]:
        """(y, x) HU and labels -> (size, size) HU and (size / 2, size / 2) labels.

        Labels are read at the centres of the half-resolution pixels, which is where the anatomy network answers.
        """
        matrix, centre = self._affine(hu.shape, pixel_mm, size, rng)
        fields = [_field(size, cell, reach, rng) for cell, reach in zip(CELLS, self.reach, strict=True)]
        fine = _grid(size, size, matrix, centre, fields, hu.shape)
        half = _grid(size // 2, size, matrix, centre, fields, hu.shape)
        image = torch.from_numpy(np.asarray(hu, np.float32) - AIR)[None, None]
        bent = functional.grid_sample(image, fine, mode="bilinear", padding_mode="zeros", align_corners=False)
        named = torch.from_numpy(np.array(labels, np.float32))[None, None]
        read = functional.grid_sample(named, half, mode="nearest", padding_mode="zeros", align_corners=False)
        return bent[0, 0].numpy() + AIR, read[0, 0].numpy().astype(np.uint8)

    def _affine(
        self, shape: tuple[int, ...], pixel_mm: tuple[float, float], size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Pixels (x, y) from the middle of the result -> pixels (x, y) from the middle of the slice; and the shift."""
        new = float(np.exp(rng.uniform(*np.log(self.field_mm)))) / size
        angle = np.radians(rng.normal(0, self.turn))
        c, s = np.cos(angle), np.sin(angle)
        bend = np.eye(2) + rng.normal(0, self.stretch, (2, 2)).clip(-2 * self.stretch, 2 * self.stretch)
        matrix = np.array([[c, -s], [s, c]]) @ bend * new
        if rng.random() < self.odd:
            matrix = matrix @ _ODD[int(rng.integers(len(_ODD)))]
        matrix = matrix / np.array(pixel_mm[::-1])[:, None]
        room = 0.12 * np.array(shape[::-1])
        return torch.from_numpy(matrix.astype(np.float32)), torch.from_numpy(
            rng.uniform(-room, room).astype(np.float32)
        )


_ODD = tuple(np.array(turn, float) for turn in (((-1, 0), (0, -1)), ((0, -1), (1, 0)), ((0, 1), (-1, 0))))


def _field(size: int, cell: float, reach: float, rng: np.random.Generator) -> Tensor:
    """(1, 2, size, size) displacement in pixels of the result: random at control points, smooth between."""
    count = round(1 / cell) + 3
    amount = reach * size * rng.random()
    edge = round(cell * size)
    points = torch.from_numpy(rng.normal(0, amount, (1, 2, count, count)).astype(np.float32))
    smooth = functional.interpolate(points, size=(size + 2 * edge,) * 2, mode="bicubic", align_corners=False)
    return smooth[..., edge : edge + size, edge : edge + size]


def _grid(count: int, size: int, matrix: Tensor, shift: Tensor, fields: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """(1, count, count, 2) places in the slice, as ``grid_sample`` counts them, of the centres of count x count."""
    at = (torch.arange(count, dtype=torch.float32) + 0.5) * (size / count) - size / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    places = torch.stack([x, y])
    for field in fields:
        places = places + functional.interpolate(field, size=(count, count), mode="bilinear", align_corners=False)[0]
    moved = torch.einsum("ab,bhw->hwa", matrix, places) + shift
    return (2 * moved / torch.tensor([shape[1], shape[0]]))[None]
