"""Training data of a noise model: flat patches of low-dose series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lowdose.batch import NoiseBatch
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import NothingToRead
from lowdose.image import mean_side
from lowdose.networks.noise_vae import TrainingNoise
from lowdose.training.learned_noise.conditions import mirrored
from lowdose.training.learned_noise.flat_patches import NoisePatches, candidate_patches, flat_patches, joined

LEAST_PATCHES = 16
"""Fewest patches that a model can be trained on."""
PIXEL_TOLERANCE = 1.1
"""Largest ratio of pixel sizes with which series can be taken to have one texture in pixels."""


def chosen_slices(
    items: Sequence[NormalDoseSlice], most: int, held_out: float
) -> tuple[list[NormalDoseSlice], list[NormalDoseSlice]]:
    """Return up to ``most`` evenly spaced slices that state their pixel size, in slices to learn from and held out.

    Raises NothingToRead when no slice states it.
    """
    sized = [item for item in items if item.pixel_mm is not None]
    if not sized:
        raise NothingToRead("no slice states its pixel size, without which noise has no place in the body")
    places = np.linspace(0, len(sized) - 1, min(most or len(sized), len(sized))).round().astype(int)
    check = set(np.linspace(0, len(places) - 1, int(held_out * len(places)) + 2).round().astype(int)[1:-1].tolist())
    parts: tuple[list[NormalDoseSlice], list[NormalDoseSlice]] = ([], [])
    for number, place in enumerate(places):
        parts[number in check].append(sized[place])
    return parts


def noise_of_slices(
    items: Sequence[NormalDoseSlice], advance: Callable[[int, int], None] = lambda done, total: None
) -> NoisePatches:
    """Return the flat patches of slices, chosen for each series on its own; advance: called with (done, total)."""
    candidates: dict[str, list[NoisePatches]] = {}
    for number, item in enumerate(items, start=1):
        pixel = mean_side(item.pixel_mm)
        assert pixel is not None  # chosen_slices leaves such out
        candidates.setdefault(item.series, []).append(candidate_patches(item.read(), pixel))
        advance(number, len(items))
    return joined(flat_patches(of_series) for of_series in candidates.values())


def summary(patches: NoisePatches) -> tuple[TrainingNoise, list[str]]:
    """Return what a model has to know of the patches, and remarks. Raises NothingToRead for too few patches."""
    if len(patches.noise) < LEAST_PATCHES:
        raise NothingToRead(
            f"{len(patches.noise)} flat patches of soft tissue found, a noise model needs {LEAST_PATCHES}: give more "
            "slices, or series that show abdomen or muscle"
        )
    pixel, remarks = float(np.median(patches.pixel_mm)), []
    smallest, largest = float(patches.pixel_mm.min()), float(patches.pixel_mm.max())
    if largest > PIXEL_TOLERANCE * smallest:
        remarks.append(
            f"warning: pixels of {smallest:.2f} to {largest:.2f} mm: texture differs with them; train one model for "
            "each protocol"
        )
    lowest, highest = (
        torch.from_numpy(np.quantile(patches.conditions, share, axis=0).astype(np.float32)) for share in (0.01, 0.99)
    )
    return TrainingNoise(float(np.sqrt((patches.noise**2).mean())), pixel, lowest, highest), remarks


class NoiseDataset:
    """Random patches of noise, mirrored at random: item n depends on (seed, n) only."""

    def __init__(self, patches: NoisePatches, seed: int) -> None:
        self.patches, self.seed = patches, seed

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        """Return noise (1, SIDE, SIDE) in HU and its conditions (CONDITIONS, 1, 1)."""
        rng = np.random.default_rng((self.seed, index))
        which, flips = int(rng.integers(len(self.patches.noise))), rng.integers(2, size=2)
        noise, conditions = self.patches.noise[which], self.patches.conditions[which]
        for axis in np.flatnonzero(flips).tolist():
            noise, conditions = np.flip(noise, axis), mirrored(conditions)
        return {
            "noise": torch.from_numpy(noise.copy())[None],
            "conditions": torch.from_numpy(conditions.copy())[:, None, None],
        }

    def join(self, items: Sequence[Mapping[str, Tensor]]) -> NoiseBatch:
        """Join items to a batch."""
        return NoiseBatch(*(torch.stack([item[name] for item in items]) for name in ("noise", "conditions")))
