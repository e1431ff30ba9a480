"""Labelled slices of digital patients and real scans, with a new random deformation and intensities on each access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lowdose.batch import UNKNOWN, LabelledBatch
from lowdose.data.labelled.phantoms import PIXEL_MM, PhantomDataset
from lowdose.data.transforms.background import randomise_background
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.organ_classes import CLASSES, classes_of

Item = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class LabelledSlice:
    """Slice of a real scan with a class for every pixel.

    Attributes
    ----------
    patient : int
        Patient number.
    hu : (y, x) int16 HU
        The image.
    classes : (y, x) uint8
        Indices into ``organ_classes.CLASSES``; UNKNOWN where none of the annotated classes is present.
    annotated : (classes,) bool
        Classes that the annotation covers.
    pixel_mm : (mm, mm)
        Pixel size down the rows and along the columns.
    """

    patient: int
    hu: NDArray[np.int16]
    classes: NDArray[np.uint8]
    annotated: NDArray[np.bool_]
    pixel_mm: tuple[float, float]


@dataclass(frozen=True)
class LabelledDataset(Dataset[Item]):
    """Random labelled slices: item n is (HU, classes, annotated) and depends on (seed, n) only.

    HU is (1, size, size); classes is (size / 2, size / 2), ``annotated`` is (classes,), as in ``batch.LabelledBatch``.

    Attributes
    ----------
    digital : PhantomDataset
        Labelled slices of digital patients.
    real : sequence of LabelledSlice
        Labelled slices of real scans; may be empty.
    real_share : float
        Share of the items taken from real scans, if there are any; the others are of digital patients.
    size : int
        Side of the image in pixels.
    spatial : RandomElasticAffine
        Deformation of every item.
    intensity : RandomIntensity
        Intensity variation: tissue of digital patients only, scanner effects of every item.
    seed : int
        Seed of all random choices.
    """

    digital: PhantomDataset
    real: Sequence[LabelledSlice]
    real_share: float
    size: int
    spatial: RandomElasticAffine
    intensity: RandomIntensity
    seed: int

    def __getitem__(self, index: int) -> Item:
        """Return item ``index``, which depends on (seed, index) only."""
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
        image = self.intensity.scanner(hu, rng)
        return torch.from_numpy(image)[None], _annotated_classes(classes, annotated), torch.from_numpy(annotated)

    def join(self, items: Sequence[Item]) -> LabelledBatch:
        """Join items to a batch."""
        return LabelledBatch(*(torch.stack(parts) for parts in zip(*items, strict=True)))


def _annotated_classes(classes: NDArray[np.uint8], annotated: NDArray[np.bool_]) -> Tensor:
    """Convert classes to int64, with UNKNOWN for every class that is not annotated.

    This includes class 0 beyond the edges of the image, which a deformation may reach.
    """
    table = np.full(256, UNKNOWN, np.int64)
    table[: len(CLASSES)][annotated] = np.flatnonzero(annotated)
    return torch.from_numpy(table[classes])
