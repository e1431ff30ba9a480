"""Crops of normal-dose slices with candidate tokens: the training data of LEDA's autoencoder."""

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
from torch.utils.data import Dataset

from lowdose.batch import CandidateTokenBatch
from lowdose.data.batches import batches
from lowdose.data.labelled.phantoms import PIXEL_MM, PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.transforms.background import randomise_background
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.image import AIR, HU
from lowdose.organ_classes import CLASSES, INDEX, OUTSIDE, classes_of

Choose = Callable[[HU, NDArray[np.uint8], tuple[float, float] | None], Sequence[NDArray[np.int64]]]
"""Function from (y, x) HU, its organ classes (on any grid) and pixel size (mm) to the candidate tokens of each layer.

Layers are ordered from coarse to fine; the candidates of each layer are the first ones of the next layer."""

ChooseCells = Callable[[NDArray[np.uint8]], Sequence[Sequence[NDArray[np.int64]]]]
"""Function from the organ classes (y, x) of a crop to the candidate tokens ``[layer][position]`` of coarse layers."""

MOSTLY_AIR = 0.85
"""Share of pixels below -500 HU from which a crop counts as mostly air."""
TRIES = 3
"""Largest number of crops drawn from a slice to avoid one that is mostly air."""
PATIENT_POWER = 0.5
"""Exponent p in the sampling probability of a real slice, which is proportional to n^-p for a patient with n slices."""

PHANTOM_INTENSITY = RandomIntensity(
    tissue_hu=(6.0, 15.0), texture=(0.6, 1.6), blur_px=0.9, sharpen=0.6, noise_hu=(5.0, 30.0), streaks=0.05, oral=0.1
)
"""Intensity variations of digital patients at normal dose."""

TEXTURE = RandomIntensity(noise_hu=(3.0, 50.0), streaks=0.2)
"""Noise that is added to slices without noise."""
QUIET = 0.2
"""Share of those slices to which none is added."""

WINDOW_PX = 256
"""Side (pixels) of the window of a digital slice that is deformed into a crop."""
PHANTOM_DEFORMATION = RandomElasticAffine(field_mm=(150.0, 250.0), odd=0.0)
"""Deformation of a window of a digital slice: a crop with 256 pixels a side gets pixels of 0.6 to 1 mm."""


class Item(NamedTuple):
    """One crop with its candidate tokens.

    Attributes
    ----------
    hu : (1, side, side) HU
        The crop.
    candidates, counts, positions, noise, organs : Tensor
        As in ``batch.CandidateTokenBatch``, but for one image.
    """

    hu: Tensor
    candidates: Tensor
    counts: Tensor
    positions: Tensor
    noise: Tensor
    organs: Tensor


@dataclass(frozen=True)
class CandidateTokenCrops(Dataset[Item]):
    """Random crops of real slices and of slices of digital patients; item n depends on (seed, n) only.

    Real crops that are mostly air are drawn again.

    Attributes
    ----------
    real : SegmentationCache or None
        Real slices with their organ classes.
    digital : PhantomDataset or None
        Slices of digital patients.
    digital_share : float
        Share of the crops taken from digital patients.
    side : int
        Side of a crop in pixels; 0 = whole real slices, which must all have the same size.
    choose : callable
        Chooses the candidate tokens of a crop.
    seed : int
        Seed of all random choices.
    choose_cells : callable or None
        Chooses the candidate tokens of each position instead of ``choose``.
    cells : int
        Cells of the latents a side, of which the shares of the organ classes are wanted; 0 = none.
    noisy : bool
        Whether crops come without noise, with two realisations of one noise to add; the slices of ``real`` must have
        been kept without noise then.
    """

    real: SegmentationCache | None
    digital: PhantomDataset | None
    digital_share: float
    side: int
    choose: Choose
    seed: int
    choose_cells: ChooseCells | None = None
    noisy: bool = False
    cells: int = 0

    def __getitem__(self, index: int) -> Item:
        """Return crop ``index``, which depends on (seed, index) only."""
        rng = np.random.default_rng((self.seed, index))
        if self.real is None or (self.digital is not None and rng.random() < self.digital_share):
            hu, classes, pixel = self._digital_crop(rng)
        else:
            hu, classes, pixel = self._real_crop(self.real, rng)
        if self.choose_cells is not None:
            of_layers = self.choose_cells(classes)
            pools, positions = [pool for layer in of_layers for pool in layer], [len(layer) for layer in of_layers]
            candidates = np.concatenate(pools)
        else:
            pools, positions = list(self.choose(hu, classes, pixel)), []
            candidates = np.ascontiguousarray(pools[-1])
        noise = np.zeros(0, np.float32)
        if self.noisy:
            quiet = rng.random() < QUIET
            realisations = TEXTURE.noise_realisations((hu.shape[0], hu.shape[1]), 2, rng)
            noise = np.zeros_like(realisations) if quiet else realisations
        counts = torch.tensor([len(pool) for pool in pools])
        return Item(
            torch.from_numpy(hu)[None],
            torch.from_numpy(candidates),
            counts,
            torch.tensor(positions, dtype=torch.int64),
            torch.from_numpy(noise),
            torch.from_numpy(class_shares(classes, self.cells) if self.cells else np.zeros(0, np.float32)),
        )

    def join(self, items: Sequence[Item]) -> CandidateTokenBatch:
        """Join crops to a batch."""
        hu, candidates, counts, positions, noise, organs = zip(*items, strict=True)
        return CandidateTokenBatch(
            torch.stack(hu),
            torch.cat(candidates),
            torch.stack(counts),
            positions[0],
            torch.stack(noise) if len(noise[0]) else noise[0],
            torch.stack(organs) if len(organs[0]) else organs[0],
        )

    @cached_property
    def _probabilities(self) -> NDArray[np.float64]:
        """Sampling probability of each real slice."""
        patients = [item.patient for item in self.real.items] if self.real is not None else []
        slice_counts = Counter(patients)
        weights = np.array([slice_counts[patient] ** -PATIENT_POWER for patient in patients])
        return np.asarray(weights / weights.sum())

    def _real_crop(
        self, real: SegmentationCache, rng: np.random.Generator
    ) -> tuple[HU, NDArray[np.uint8], tuple[float, float] | None]:
        number = int(rng.choice(len(real), p=self._probabilities))
        stored, classes = real[number]
        pixel = real.items[number].pixel_mm
        if not self.side:
            return stored.astype(np.float32), np.array(classes), pixel
        for _ in range(TRIES):
            rows, columns = (_random_window(length, self.side, rng) for length in stored.shape)
            hu = _padded(stored[rows, columns], self.side, float(AIR))
            if (hu < -500).mean() < MOSTLY_AIR:
                break
        return hu, _padded(classes[rows, columns], self.side, INDEX[OUTSIDE]).astype(np.uint8), pixel

    def _digital_crop(self, rng: np.random.Generator) -> tuple[HU, NDArray[np.uint8], tuple[float, float] | None]:
        assert self.digital is not None
        stored, labels = self.digital[self.digital.draw(rng)]
        rows, columns = (_random_window(length, WINDOW_PX, rng) for length in stored.shape)
        hu, classes = stored[rows, columns].astype(np.float32), classes_of(labels[rows, columns])
        hu = randomise_background(PHANTOM_INTENSITY.tissues(hu, classes, rng), classes, PIXEL_MM, rng)
        hu, classes = PHANTOM_DEFORMATION.apply(hu, classes, (PIXEL_MM, PIXEL_MM), self.side, rng)
        pixel = float(np.mean(PHANTOM_DEFORMATION.field_mm)) / len(classes)
        seen_by = PHANTOM_INTENSITY.kernel if self.noisy else PHANTOM_INTENSITY.scanner
        return seen_by(hu, rng), classes, (pixel, pixel)


def class_shares(classes: NDArray[np.uint8], cells: int) -> NDArray[np.float32]:
    """Return the share of each class in ``cells`` x ``cells`` equal parts of a map (y, x): (classes, cells, cells)."""
    rows, columns = (np.arange(side) * cells // side for side in classes.shape)
    part = rows[:, None] * cells + columns
    counts = np.bincount(classes.astype(np.int64).ravel() * cells**2 + part.ravel(), minlength=len(CLASSES) * cells**2)
    by_class = counts.reshape(len(CLASSES), cells, cells)
    return np.asarray(by_class / by_class.sum(0), np.float32)


def _random_window(length: int, side: int, rng: np.random.Generator) -> slice:
    first = int(rng.integers(max(0, length - side) + 1))
    return slice(first, first + side)


def _padded(image: NDArray[np.int16] | NDArray[np.uint8], side: int, value: float) -> HU:
    """Convert to float32, with ``value`` added below and to the right of an image smaller than a crop."""
    result = np.full((side, side), value, np.float32)
    result[: image.shape[0], : image.shape[1]] = image
    return result


def candidate_token_batches(
    crops: CandidateTokenCrops, size: int, first: int, last: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[CandidateTokenBatch]:
    """Return the batches of steps first..last-1 for process ``rank`` of ``world``, as ``data.batches.batches`` does."""
    return batches(crops, size, first, last, rank, world, workers)
