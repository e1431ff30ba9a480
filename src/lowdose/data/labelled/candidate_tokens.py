"""Crops of normal-dose slices with the words that fit them: what LEDA's autoencoder is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lowdose.batch import CandidateTokenBatch
from lowdose.data.labelled.phantoms import PIXEL_MM, PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.transforms.background import randomise_background
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.image import AIR, HU
from lowdose.organ_classes import classes_of

Choose = Callable[[HU, NDArray[np.uint8], tuple[float, float] | None], Sequence[NDArray[np.int64]]]
"""(y, x) HU, its classes (on any grid) and its pixel in mm -> candidate tokens of each layer, coarsest first, each
layer's the first of the next layer's."""

MOSTLY_AIR = 0.85
TRIES = 3
PATIENT_POWER = 0.5
"""A real slice is drawn as often as the inverse of its patient's number of slices, to this power."""

LOOK = RandomIntensity(
    tissue_hu=(6.0, 15.0), texture=(0.6, 1.6), blur_px=0.9, sharpen=0.6, noise_hu=(5.0, 30.0), streaks=0.05, oral=0.1
)
"""Of digital patients as scanners show them at normal dose."""

FIELD = 256
BEND = RandomElasticAffine(field_mm=(150.0, 250.0), odd=0.0)
"""A window of ``FIELD`` pixels of a digital slice becomes a crop with pixels of 0.6 to 1 mm at 256 a side."""


class Item(NamedTuple):
    """hu: (1, side, side). candidates, counts: one image's part of ``batch.CandidateTokenBatch``."""

    hu: Tensor
    candidates: Tensor
    counts: Tensor


@dataclass(frozen=True)
class CandidateTokenCrops(Dataset[Item]):
    """Item n, by (seed, n) alone: a crop of ``side`` pixels of a real slice or, in a share of them, a digital one.

    side 0: whole real slices, which must be of one size. Real crops that are mostly air are drawn again.
    """

    real: SegmentationCache | None
    digital: PhantomDataset | None
    digital_share: float
    side: int
    choose: Choose
    seed: int

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng((self.seed, index))
        if self.real is None or (self.digital is not None and rng.random() < self.digital_share):
            hu, classes, pixel = self._digital(rng)
        else:
            hu, classes, pixel = self._real(self.real, rng)
        pools = self.choose(hu, classes, pixel)
        counts = torch.tensor([len(pool) for pool in pools])
        return Item(torch.from_numpy(hu)[None], torch.from_numpy(np.ascontiguousarray(pools[-1])), counts)

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """(real slices,) how often each is drawn, of sum 1."""
        patients = [item.patient for item in self.real.items] if self.real is not None else []
        of_patient = Counter(patients)
        shares = np.array([of_patient[patient] ** -PATIENT_POWER for patient in patients])
        return np.asarray(shares / shares.sum())

    def _real(
        self, real: SegmentationCache, rng: np.random.Generator
    ) -> tuple[HU, NDArray[np.uint8], tuple[float, float] | None]:
        number = int(rng.choice(len(real), p=self._shares))
        stored, classes = real[number]
        pixel = real.items[number].pixel_mm
        if not self.side:
            return stored.astype(np.float32), np.array(classes), pixel
        for _ in range(TRIES):
            rows, columns = (_window(length, self.side, rng) for length in stored.shape)
            hu = _padded(stored[rows, columns], self.side)
            if (hu < -500).mean() < MOSTLY_AIR:
                break
        return hu, np.array(classes[rows, columns]), pixel

    def _digital(self, rng: np.random.Generator) -> tuple[HU, NDArray[np.uint8], tuple[float, float] | None]:
        assert self.digital is not None
        stored, labels = self.digital[self.digital.draw(rng)]
        rows, columns = (_window(length, FIELD, rng) for length in stored.shape)
        hu, classes = stored[rows, columns].astype(np.float32), classes_of(labels[rows, columns])
        hu = randomise_background(LOOK.tissues(hu, classes, rng), classes, PIXEL_MM, rng)
        hu, classes = BEND.apply(hu, classes, (PIXEL_MM, PIXEL_MM), self.side, rng)
        pixel = float(np.mean(BEND.field_mm)) / len(classes)
        return LOOK.scanner(hu, rng), classes, (pixel, pixel)


def _window(length: int, side: int, rng: np.random.Generator) -> slice:
    first = int(rng.integers(max(0, length - side) + 1))
    return slice(first, first + side)


def _padded(image: NDArray[np.int16], side: int) -> HU:
    """As float32, with air below and right where the slice was smaller than a crop."""
    result = np.full((side, side), AIR, np.float32)
    result[: image.shape[0], : image.shape[1]] = image
    return result


def candidate_token_batches(
    crops: CandidateTokenCrops, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[CandidateTokenBatch]:
    """Batches for steps first..last-1. ``size`` is one process's share; together they see size * world items."""
    indices = [[(step * world + rank) * size + place for place in range(size)] for step in range(first, last)]
    for items in DataLoader(crops, batch_sampler=indices, num_workers=workers, collate_fn=list):
        hu, candidates, counts = zip(*items, strict=True)
        yield CandidateTokenBatch(torch.stack(hu), torch.cat(candidates), torch.stack(counts))
