"""What a run says of itself: how it does on held-out patients, and what its patches were like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from lowdose.data.pairs import PairedSlice
from lowdose.data.patches import UNKNOWN_PIXEL_MM, Patches, apply_variation
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import TrainingDomain
from lowdose.networks.denoiser import Denoiser

VALIDATION_SLICES = 8
"""Slices on which a model is judged along the way."""

T = TypeVar("T")


def evenly_spaced(items: Sequence[T], most: int = VALIDATION_SLICES) -> list[T]:
    """Up to ``most`` of the items, evenly spread."""
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, min(most, len(items))).round()]


def validate_denoiser(denoiser: Denoiser, chosen: Sequence[Sequence[PairedSlice]]) -> dict[str, float]:
    """Mean PSNR in the soft-tissue window over slices of the held-out patients, each amid its neighbours."""
    if not chosen:
        return {}
    device = next(denoiser.parameters()).device
    gains, values = [], []
    for around in chosen:
        pairs = {item.key: item.read() for item in around}
        low, full = pairs[around[len(around) // 2].key]
        seen = torch.from_numpy(np.stack([pairs[item.key][0] for item in around]))
        clean = denoiser.denoise(seen[None].to(device))[0, 0].cpu().numpy()
        windowed = [SOFT_TISSUE.apply(image) for image in (low, full, clean)]
        values.append(psnr(windowed[2], windowed[1], 1.0))
        gains.append(values[-1] - psnr(windowed[0], windowed[1], 1.0))
    return {"validation/psnr_soft_tissue": float(np.mean(values)), "validation/psnr_gain": float(np.mean(gains))}


def measure_training_domain(patches: Patches, draws: int = 3) -> TrainingDomain:
    """What the network gets to see: noise of the augmented slices, pixel sizes and thicknesses."""
    slices = patches.slices
    sds: list[float] = []
    frequencies: list[float] = []
    step = max(1, len(slices) // 24)
    for index in range(0, len(slices), step):
        images, pixel = slices[index], slices.items[index].pixel_mm or UNKNOWN_PIXEL_MM
        for draw in range(draws):
            rng = np.random.default_rng((patches.seed, index, draw))
            side = min(images.shape)
            low, full, _ = images.crop((slice(0, side), slice(0, side)), rng)
            look = replace(patches.augmentation.draw(pixel, rng), pixel_mm=None)
            seen = apply_variation(low, full, look, pixel, images.cutoff, side)[len(low) // 2]
            level = noise_level(seen, np.ones(seen.shape, bool), pixel)
            if level is not None:
                sds.append(level.sd)
                frequencies.append(level.f_av)
    pixels = [item.pixel_mm for item in slices.items if item.pixel_mm is not None]
    if patches.augmentation.share > 0:
        pixels += [seen for pixel in pixels[:] for seen in patches.augmentation.pixels(pixel)]
    thickness = [item.thickness_mm for item in slices.items if item.thickness_mm is not None]
    return TrainingDomain(
        _range(sds),
        _range(frequencies),
        _range(pixels),
        _range(thickness),
    )


def _range(values: Sequence[float]) -> tuple[float, float] | None:
    return (round(min(values), 4), round(max(values), 4)) if values else None
