"""Validation of a denoiser on held-out patients, and the range of the data that it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from lowdose.data.augmentation import apply_variation
from lowdose.data.pairs import PairedSlice
from lowdose.data.patches import UNKNOWN_PIXEL_MM, Patches
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.logger import log
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel
from lowdose.networks.denoiser import Denoiser

VALIDATION_SLICES = 8
"""Most slices on which a model is validated during training."""

T = TypeVar("T")


def evenly_spaced(items: Sequence[T], most: int = VALIDATION_SLICES) -> list[T]:
    """Return up to ``most`` of the items, evenly spaced."""
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, min(most, len(items))).round()]


def validate_denoiser(denoiser: Denoiser, chosen: Sequence[Sequence[PairedSlice]]) -> dict[str, float]:
    """Return the mean PSNR in dB in the soft-tissue window, and its gain over the low-dose slices.

    chosen: slices of held-out patients, each as a list of it and its neighbours in order.
    """
    if not chosen:
        return {}
    device = next(denoiser.parameters()).device
    model = LoadedModel("", "", denoiser, None, device)
    if device.type == "cpu":  # on a GPU, capturing the network anew takes longer than the slices
        model = run_on_engine(model, say=log.debug, keep=False)
    gains, psnrs = [], []
    for around in chosen:
        pairs = {item.key: item.read() for item in around}
        low, full = pairs[around[len(around) // 2].key]
        stack = torch.from_numpy(np.stack([pairs[item.key][0] for item in around]))
        clean = model.denoiser.denoise(stack[None].to(device))[0, 0].cpu().numpy()
        windowed = [SOFT_TISSUE.apply(image) for image in (low, full, clean)]
        psnrs.append(psnr(windowed[2], windowed[1], 1.0))
        gains.append(psnrs[-1] - psnr(windowed[0], windowed[1], 1.0))
    return {"validation/psnr_soft_tissue": float(np.mean(psnrs)), "validation/psnr_gain": float(np.mean(gains))}


def measure_training_domain(patches: Patches, draws: int = 3) -> TrainingDomain:
    """Measure the range of the training data: noise of augmented slices, pixel sizes and slice thicknesses.

    draws: random augmentations of each slice that is measured, which are some two or three dozen. Noise is given as SD
    in HU and as mean frequency in 1/mm.
    """
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
            variation = replace(patches.augmentation.draw(pixel, rng), pixel_mm=None)
            image = apply_variation(low, full, variation, pixel, images.cutoff, side)[len(low) // 2]
            level = noise_level(image, np.ones(image.shape, bool), pixel)
            if level is not None:
                sds.append(level.sd)
                frequencies.append(level.f_av)
    pixels = [item.pixel_mm for item in slices.items if item.pixel_mm is not None]
    if patches.augmentation.share > 0:
        pixels += [other for pixel in pixels[:] for other in patches.augmentation.pixels(pixel)]
    thickness = [item.thickness_mm for item in slices.items if item.thickness_mm is not None]
    return TrainingDomain(
        _range(sds),
        _range(frequencies),
        _range(pixels),
        _range(thickness),
    )


def _range(values: Sequence[float]) -> tuple[float, float] | None:
    return (round(min(values), 4), round(max(values), 4)) if values else None
