"""Random variation of a labelled slice's intensities: tissue HU, contrast agent, shading, kernel and noise.

The idea is that of SynthSeg (Billot et al., Medical Image Analysis 2023): a network trained on intensities of all kinds
needs no adaptation to a new scanner. Here the variation stays closer to CT, where HU have a physical meaning: most
slices keep plausible HU, a few do not.
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
LOW_VARIATION_CLASSES = tuple(INDEX[name] for name in ("outside", "lung", "subcutaneous_fat", "torso_fat"))
"""Air and fat, whose HU differ little between people: they change by a quarter of what other tissue does."""
LOWEST, HIGHEST = -1024.0, 3071.0
"""Range of the HU that scanners store."""


@dataclass(frozen=True)
class RandomIntensity:
    """Random variation of the intensities of a slice.

    Attributes
    ----------
    tissue_hu : HU, several
        Standard deviations of the change in mean HU of each class, of which one is chosen at random for a slice.
    texture : (float, float)
        Range of the factor on the deviations from the mean within a class.
    shading_hu : HU
        Largest amplitude of the slow shading.
    blur_px : pixels
        Largest standard deviation of the Gaussian blur.
    sharpen : float
        Largest factor of unsharp masking: the share of what the blur removes that is added instead.
    noise_hu : (HU, HU)
        Range of the standard deviation of the noise.
    streaks : float
        Share of slices with horizontal streaks, as behind shoulders and hips.
    oral : float
        Share of slices with contrast agent in the bowel.
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
        """Change the mean HU and the texture of each class in a (y, x) image in HU; classes on the same grid."""
        flat = classes.ravel()
        count = np.bincount(flat, minlength=len(CLASSES)).clip(1)
        means = (np.bincount(flat, hu.ravel(), len(CLASSES)) / count).astype(np.float32)
        shift = rng.normal(0, rng.choice(self.tissue_hu), len(CLASSES)).astype(np.float32)
        shift[list(LOW_VARIATION_CLASSES)] *= 0.25
        if rng.random() < self.oral:
            shift[list(BOWEL)] += np.float32(rng.uniform(60, 350))
        gain = _log_uniform(self.texture, rng, len(CLASSES))
        gain[list(BOWEL)] = 1.0  # gas in the bowel is not texture
        deviation = hu - means[classes]
        # Pixels far from the mean (partial volume, walls, gas) are hardly changed.
        weight = np.exp(-np.square(deviation / 120.0))
        changed: HU = hu + weight * (shift[classes] + (gain[classes] - 1) * deviation)
        return changed

    def scanner(self, hu: HU, rng: np.random.Generator) -> HU:
        """Change a (y, x) image in HU as another scanner would: shading, kernel, noise; clipped to the stored range."""
        hu = self.kernel(hu, rng)
        local_sd = self._local_sd(hu.shape, rng)
        noise = coloured_noise(hu.shape, rng)
        if rng.random() < self.streaks:
            noise = _add_streaks(noise, int(rng.integers(9, 41)), rng.uniform(0.5, 1.5))
        image: HU = np.clip(hu + local_sd * noise, LOWEST, HIGHEST)
        return image

    def kernel(self, hu: HU, rng: np.random.Generator) -> HU:
        """Change a (y, x) image in HU as another scanner without noise would: shading and kernel."""
        hu = hu + _smooth_field(hu.shape, rng) * np.float32(rng.uniform(0, self.shading_hu))
        sigma = rng.uniform(0.3, self.blur_px)
        blurred = ndimage.gaussian_filter(hu, sigma)
        if rng.random() < 0.6:
            return np.asarray(blurred, np.float32)
        return np.asarray(hu + np.float32(rng.uniform(0, self.sharpen)) * (hu - blurred), np.float32)

    def noise_realisations(self, shape: tuple[int, int], count: int, rng: np.random.Generator) -> HU:
        """Draw independent realisations, (count, y, x) in HU, of noise of one spectrum and one local SD."""
        local_sd = self._local_sd(shape, rng)
        spectrum = _random_spectrum(shape, rng)
        with_streaks = rng.random() < self.streaks
        length, strength = int(rng.integers(9, 41)), rng.uniform(0.5, 1.5)
        drawn = [_shaped_noise(_white(shape, rng), spectrum, shape) for _ in range(count)]
        if with_streaks:
            drawn = [_add_streaks(noise, length, strength) for noise in drawn]
        return np.stack([local_sd * noise for noise in drawn])

    def _local_sd(self, shape: tuple[int, ...], rng: np.random.Generator) -> HU:
        return np.asarray(np.exp(0.5 * _smooth_field(shape, rng)) * _log_uniform(self.noise_hu, rng, 1), np.float32)


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator, count: int) -> HU:
    """Draw (count,) numbers, log-uniform."""
    low, high = np.log(limits)
    return np.exp(rng.uniform(low, high, count)).astype(np.float32)


def coloured_noise(shape: tuple[int, ...], rng: np.random.Generator) -> HU:
    """Draw (y, x) noise of standard deviation 1 with a spectrum as that of filtered back-projection.

    The amplitude spectrum is a random power of the frequency times a Gaussian of random width.
    """
    white = _white(shape, rng)
    return _shaped_noise(white, _random_spectrum(shape, rng), shape)


def _white(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.complex64]:
    """Draw white noise of a real image (y, x), and return its Fourier transform."""
    return np.asarray(fft.rfft2(rng.standard_normal(shape, np.float32), workers=1))


def _random_spectrum(shape: tuple[int, ...], rng: np.random.Generator) -> HU:
    power, width = rng.uniform(0.0, 0.7), rng.uniform(0.1, 0.5)
    f = _frequencies(shape[0], shape[1])
    return np.asarray(f**power * np.exp(-0.5 * np.square(f / width)), np.float32)


def _shaped_noise(white: NDArray[np.complex64], spectrum: HU, shape: tuple[int, ...]) -> HU:
    noise = fft.irfft2(white * spectrum, shape, workers=1)
    return np.asarray(noise / noise.std(), np.float32)


def _add_streaks(noise: HU, length: int, strength: float) -> HU:
    """Add streaks to (y, x) noise: the noise itself, averaged along ``length`` pixels of each row."""
    streaks = ndimage.uniform_filter1d(noise, length, axis=1)
    return np.asarray(noise + np.float32(strength) * streaks / streaks.std(), np.float32)


@lru_cache(maxsize=8)
def _frequencies(rows: int, columns: int) -> HU:
    return np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)).astype(np.float32)


def _smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> HU:
    """Draw a smooth (y, x) field of about -1 to 1 that changes over a third of the image."""
    points = rng.uniform(-1, 1, (5, 5)).astype(np.float32)
    zoomed = ndimage.zoom(points, (shape[0] / 5, shape[1] / 5), order=1, grid_mode=True, mode="nearest")
    return np.asarray(zoomed, np.float32)
