"""Noise that is added to slices of normal dose: of a learned model, or of a formula for comparison."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch

from lowdose.data.patch_source import Region
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.image import HU
from lowdose.metrics.noise_estimate import SOFT_TISSUE_HU
from lowdose.networks.noise_vae import NoiseDecoder
from lowdose.training.learned_noise.conditions import LEVEL_HU, at_pixels, noise_conditions, ray_variance
from lowdose.training.learned_noise.sharpness import noise_cutoff

SAME_PIXEL = 0.02
"""Relative difference of pixel sizes up to which noise is not resampled."""


class SliceNoise(NamedTuple):
    """What the noise of one slice depends on.

    Attributes
    ----------
    maps : (n, h, w) float16
        Maps over the slice; none, (0, 1, 1), where noise depends on nothing but the pixel's own HU.
    sd : float, HU
        Root mean square of the noise in soft tissue.
    """

    maps: HU
    sd: float


class AddedNoise(Protocol):
    """Noise that can be drawn for any window of a slice.

    Attributes
    ----------
    cutoff : 1/mm or None
        Cut-off frequency of the reconstruction kernel that gives noise of this texture; None = no kernel does.
    """

    cutoff: float | None

    def of_slice(self, hu: HU, pixel_mm: float) -> SliceNoise:
        """Return what the noise of a slice (y, x) in HU depends on."""
        ...

    def draw(
        self, of_slice: SliceNoise, shape: tuple[int, ...], window: Region, hu: HU, pixel_mm: float,
        rng: np.random.Generator,
    ) -> HU:  # fmt: skip
        """Draw noise (y, x) in HU for a window of a slice of ``shape``, whose HU in the window are ``hu``."""
        ...


class LearnedNoise:
    """Noise of a learned model, as strong as at the same place in the body of those it was learned from.

    Lung and bone are not learned from. There noise is that of the slice's soft tissue, times what the rays through the
    place say: within a slice the variance follows them, while from slice to slice the tube current makes up for them.

    On pixels of another size it has the same texture in millimetres and the same strength, as other pixels of one
    reconstruction have.
    """

    def __init__(self, decoder: NoiseDecoder) -> None:
        self.decoder = decoder
        self.cutoff = noise_cutoff(decoder)

    @torch.inference_mode()
    def of_slice(self, hu: HU, pixel_mm: float) -> SliceNoise:
        """Return the gains of the components over the slice."""
        conditions = noise_conditions(hu, pixel_mm)
        gains = self.decoder.gains(torch.from_numpy(conditions)[None])[0].numpy()
        level = conditions[0] * LEVEL_HU
        soft = (level > SOFT_TISSUE_HU[0]) & (level < SOFT_TISSUE_HU[1])
        if not soft.any():
            return SliceNoise(gains.astype(np.float16), 0.0)
        lowest, highest = (float(each[0]) for each in (self.decoder.lowest, self.decoder.highest))
        unlearned = (conditions[0] < lowest) | (conditions[0] > highest)
        rays = ray_variance(conditions)
        of_soft = np.sqrt((gains[:, soft] ** 2).mean(axis=1, keepdims=True))
        gains[:, unlearned] = of_soft * np.sqrt(rays[unlearned] / rays[soft].mean())
        return SliceNoise(gains.astype(np.float16), float(np.sqrt((of_soft**2).sum())))

    def draw(
        self, of_slice: SliceNoise, shape: tuple[int, ...], window: Region, hu: HU, pixel_mm: float,
        rng: np.random.Generator,
    ) -> HU:  # fmt: skip
        """Draw fields of unit variance for all components, and add them with their gains."""
        rows, columns = (np.arange(part.start, part.stop, dtype=np.float32) for part in window)
        gains = at_pixels(of_slice.maps.astype(np.float32), shape, rows, columns)
        fields = self.fields(max(hu.shape), pixel_mm, rng)[:, : hu.shape[0], : hu.shape[1]]
        return np.asarray((gains * fields).sum(axis=0), np.float32)

    @torch.inference_mode()
    def fields(self, side: int, pixel_mm: float, rng: np.random.Generator) -> HU:
        """Return a field of unit variance for each component, (components, side, side), on pixels of any size."""
        ratio = pixel_mm / float(self.decoder.pixel_mm)
        own_side = side if abs(ratio - 1) < SAME_PIXEL else max(8, round(side * ratio))
        padded = own_side + 2 * self.decoder.margin
        white = rng.standard_normal((1, self.decoder.settings.components, padded, padded), np.float32)
        fields = self.decoder.fields(torch.from_numpy(white))[0].numpy()
        if own_side == side:
            return fields
        # Beyond the Nyquist frequency of larger pixels power is folded back, not lost: it is made up for.
        kept = _power_within(self.decoder, min(1.0, side / own_side))[:, None, None]
        resampled = convert_kernel(fields, float(self.decoder.pixel_mm), cutoff=None, own=None, side=side)
        return np.asarray(resampled / np.sqrt(kept), np.float32)


@lru_cache(maxsize=256)
def _power_within(decoder: NoiseDecoder, share: float) -> HU:
    """Return the share of each component's power below a share of the Nyquist frequency, along both axes."""
    size = 128
    power = torch.fft.fft2(decoder.filters, (size, size)).abs().square().numpy()
    inside = np.abs(np.fft.fftfreq(size)) <= 0.5 * share
    return np.asarray(power[:, inside][:, :, inside].sum(axis=(1, 2)) / power.sum(axis=(1, 2)), np.float32)


class GaussianNoise:
    """White Gaussian noise of one standard deviation in HU, whatever the place."""

    cutoff: float | None = None

    def __init__(self, sd: float) -> None:
        self.sd = sd

    def of_slice(self, hu: HU, pixel_mm: float) -> SliceNoise:
        """Return the standard deviation."""
        return SliceNoise(np.zeros((0, 1, 1), np.float16), self.sd)

    def draw(
        self, of_slice: SliceNoise, shape: tuple[int, ...], window: Region, hu: HU, pixel_mm: float,
        rng: np.random.Generator,
    ) -> HU:  # fmt: skip
        """Draw white noise."""
        return np.float32(self.sd) * rng.standard_normal(hu.shape, np.float32)


class PoissonNoise(GaussianNoise):
    """Poisson noise of the image itself: counts proportional to HU + 1000, with a standard deviation stated for water.

    CT images have no such noise; several papers add it.
    """

    def draw(
        self, of_slice: SliceNoise, shape: tuple[int, ...], window: Region, hu: HU, pixel_mm: float,
        rng: np.random.Generator,
    ) -> HU:  # fmt: skip
        """Draw counts of mean (HU + 1000) / 1000 times those of water, and return their error in HU."""
        water = (1000.0 / self.sd) ** 2
        expected = np.maximum(hu.astype(np.float64) + 1000.0, 0.0) * (water / 1000.0)
        return np.asarray((rng.poisson(expected) - expected) * (1000.0 / water), np.float32)
