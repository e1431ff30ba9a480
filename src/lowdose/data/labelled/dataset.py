"""Labelled slices, digital and real, bent and made to look anew each time one is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lowdose.batch import UNKNOWN, LabelledBatch
from lowdose.data.labelled.phantoms import PIXEL_MM, PhantomDataset
from lowdose.data.transforms.background import randomise_background
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.organ_classes import CLASSES, classes_of

Item = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class LabelledSlice:
    """A real slice.

    patient: a number. hu: (y, x) int16 HU. classes: (y, x) of ``organ_classes.CLASSES``, UNKNOWN where none of the annotated
    ones is. annotated: (classes,) those that were looked for. pixel_mm: (down the rows, along the columns).
    """

    patient: int
    hu: NDArray[np.int16]
    classes: NDArray[np.uint8]
    annotated: NDArray[np.bool_]
    pixel_mm: tuple[float, float]


@dataclass(frozen=True)
class LabelledDataset(Dataset[Item]):
    """Item n -> (hu (1, size, size), classes (size / 2, size / 2), annotated), by (seed, n) alone.

    real_share of the items are of real slices, where there are any; the others of digital patients.
    """

    digital: PhantomDataset
    real: Sequence[LabelledSlice]
    real_share: float
    size: int
    spatial: RandomElasticAffine
    intensity: RandomIntensity
    seed: int

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng((self.seed, index))
        if self.real and rng.random() < self.real_share:
            chosen = self.real[int(rng.integers(len(self.real)))]
            hu, classes, annotated = chosen.hu.astype(np.float32), chosen.classes, chosen.annotated
            pixel = chosen.pixel_mm
        else:
            stored, labels = self.digital[self.digital.draw(rng)]
            classes = classes_of(np.asarray(labels))
            hu = self.intensity.tissues(stored.astype(np.float32), classes, rng)
            hu = randomise_background(hu, classes, PIXEL_MM, rng)
            annotated, pixel = np.ones(len(CLASSES), bool), (PIXEL_MM, PIXEL_MM)
        hu, classes = self.spatial.apply(hu, classes, pixel, self.size, rng)
        seen = self.intensity.scanner(hu, rng)
        return torch.from_numpy(seen)[None], _known(classes, annotated), torch.from_numpy(annotated)


def _known(classes: NDArray[np.uint8], annotated: NDArray[np.bool_]) -> Tensor:
    """Where bending reached past the image, it found class 0: unknown, if that is not annotated."""
    table = np.full(256, UNKNOWN, np.int64)
    table[: len(CLASSES)][annotated] = np.flatnonzero(annotated)
    return torch.from_numpy(table[classes])


def labelled_batches(
    views: LabelledDataset, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[LabelledBatch]:
    """Batches for steps first..last-1. ``size`` is one process's share; together they see size * world items."""
    indices = [[(step * world + rank) * size + place for place in range(size)] for step in range(first, last)]
    for hu, classes, annotated in DataLoader(views, batch_sampler=indices, num_workers=workers):
        yield LabelledBatch(hu, classes, annotated)
