"""Random appearance of a labelled slice: tissue HU, contrast, shading, kernel and noise (in the way of SynthSeg).

Billot et al., SynthSeg, Medical Image Analysis 2023: a network that has seen every appearance needs no adaptation to
a new scanner. Here the draw stays nearer to CT, where HU mean something: most slices keep plausible HU, a few do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from lowdose.image import HU
from lowdose.organ_classes import CLASSES, INDEX

BOWEL = tuple(INDEX[name] for name in ("stomach", "duodenum", "small_bowel", "colon", "esophagus"))
STIFF = tuple(INDEX[name] for name in ("outside", "lung", "subcutaneous_fat", "torso_fat"))
"""Air and fat look alike in everybody: they move by a quarter of what other tissue does."""
LOWEST, HIGHEST = -1024.0, 3071.0


@dataclass(frozen=True)
class RandomIntensity:
    """How far the look of a slice is varied.

    tissue_hu: SD of the change of each class's mean, one of these at random. texture: range of the factor on what is
    within a class. shading_hu: largest slow drift. blur_px: largest Gaussian; sharpen: largest share of what it takes
    away that is added instead. noise_hu: range of the noise SD. streaks: share of slices with horizontal streaks, as
    shoulders and hips make them. oral: share of slices with contrast in the bowel.
    """

    tissue_hu: tuple[float, ...] = (6.0, 15.0, 30.0, 60.0)
    texture: tuple[float, float] = (0.4, 2.5)
    shading_hu: float = 15.0
    blur_px: float = 1.2
    sharpen: float = 0.8
    noise_hu: tuple[float, float] = (2.0, 90.0)
    streaks: float = 0.2
    oral: float = 0.15

    def tissues(self, hu: HU, classes: NDArray[np.uint8], rng: np.random.Generator) -> HU:
        """(y, x) HU with another mean and another texture in each class; classes on the same grid."""
        flat = classes.ravel()
        count = np.bincount(flat, minlength=len(CLASSES)).clip(1)
        means = (np.bincount(flat, hu.ravel(), len(CLASSES)) / count).astype(np.float32)
        move = rng.normal(0, rng.choice(self.tissue_hu), len(CLASSES)).astype(np.float32)
        move[list(STIFF)] *= 0.25
        if rng.random() < self.oral:
            move[list(BOWEL)] += np.float32(rng.uniform(60, 350))
        gain = _between(self.texture, rng, len(CLASSES))
        gain[list(BOWEL)] = 1.0  # gas in them is no texture
        inside = hu - means[classes]
        # Partial volume, walls and gas lie far from the mean and stay where they are.
        soft = np.exp(-np.square(inside / 120.0))
        changed: HU = hu + soft * (move[classes] + (gain[classes] - 1) * inside)
        return changed

    def scanner(self, hu: HU, rng: np.random.Generator) -> HU:
        """(y, x) HU as another scanner shows them: shading, kernel, noise; clipped to what scanners store."""
        hu = hu + _smooth(hu.shape, rng) * np.float32(rng.uniform(0, self.shading_hu))
        sigma = rng.uniform(0.3, self.blur_px)
        blurred = ndimage.gaussian_filter(hu, sigma)
        hu = blurred if rng.random() < 0.6 else hu + np.float32(rng.uniform(0, self.sharpen)) * (hu - blurred)
        local = np.exp(0.5 * _smooth(hu.shape, rng)) * _between(self.noise_hu, rng, 1)
        noise = coloured_noise(hu.shape, rng)
        if rng.random() < self.streaks:
            long = ndimage.uniform_filter1d(noise, int(rng.integers(9, 41)), axis=1)
            noise = noise + np.float32(rng.uniform(0.5, 1.5)) * long / long.std()
        seen: HU = np.clip(hu + local * noise, LOWEST, HIGHEST)
        return seen


def _between(limits: tuple[float, float], rng: np.random.Generator, count: int) -> HU:
    """(count,) numbers, log-uniform."""
    low, high = np.log(limits)
    return np.exp(rng.uniform(low, high, count)).astype(np.float32)


def coloured_noise(shape: tuple[int, ...], rng: np.random.Generator) -> HU:
    """(y, x) of SD 1, its amplitude spectrum a power of f with a Gaussian end: what filtered back-projection leaves."""
    white = fft.rfft2(rng.standard_normal(shape, np.float32), workers=1)
    power, end = rng.uniform(0.0, 0.7), rng.uniform(0.1, 0.5)
    f = _frequencies(shape[0], shape[1])
    noise = fft.irfft2(white * (f**power * np.exp(-0.5 * np.square(f / end))).astype(np.float32), shape, workers=1)
    return np.asarray(noise / noise.std(), np.float32)


@lru_cache(maxsize=8)
def _frequencies(rows: int, columns: int) -> HU:
    return np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)).astype(np.float32)


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> HU:
    """(y, x), about -1 to 1, changing over a third of the image."""
    points = rng.uniform(-1, 1, (5, 5)).astype(np.float32)
    zoomed = ndimage.zoom(points, (shape[0] / 5, shape[1] / 5), order=1, grid_mode=True, mode="nearest")
    return np.asarray(zoomed, np.float32)
