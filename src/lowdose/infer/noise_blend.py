"""Noise of an image mixed with its denoised version, for every share of the mixture, measured on a few slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slices
from lowdose.io.neighbours import slice_windows
from lowdose.io.source import Source
from lowdose.metrics.band_noise import flat_tissue, local_covariance
from lowdose.metrics.noise_estimate import NoiseLevel, noise_level
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import ASSUMED_PIXEL_MM

FEW, MANY = 20, 3
"""Of series of at least FEW slices MANY are measured, of shorter ones a single slice."""


@dataclass(frozen=True)
class BlendNoise:
    """Noise of share * before + (1 - share) * after.

    Attributes
    ----------
    before, after : float, HU^2
        Local variance of both images in flat soft tissue.
    covariance : float, HU^2
        Their local covariance.
    samples : list of (Slice, HU)
        The slices that were measured, before and after.
    results : dict of int to HU
        Every slice that was denoised for this, by index, with no noise kept.
    """

    before: float
    after: float
    covariance: float
    samples: Sequence[tuple[Slice, HU]]
    results: Mapping[int, HU] = field(default_factory=dict)

    def relative_sd(self, share: float) -> float:
        """Return the SD of the mixture over that of the image before."""
        rest = 1 - share
        variance = share**2 * self.before + 2 * share * rest * self.covariance + rest**2 * self.after
        return float(np.sqrt(max(variance, 0.0) / self.before))

    def share_for(self, relative_sd: float) -> float:
        """Return the share from 0 to 1 at which the SD is ``relative_sd`` of that before, or the nearest to it."""
        shares = np.linspace(0.0, 1.0, 1001)
        sds = np.array([self.relative_sd(float(share)) for share in shares])
        return float(shares[np.argmin(np.abs(sds - relative_sd))])

    def level(self, share: float) -> NoiseLevel | None:
        """Return the noise of the mixture, the median over the slices; ``f_av`` weighted over the plane."""
        levels = []
        for item, clean in self.samples:
            mixed = clean + np.float32(share) * (item.in_air - clean)
            levels.append(noise_level(mixed, item.valid, item.mean_pixel_mm or ASSUMED_PIXEL_MM))
        found = [level for level in levels if level is not None]
        if not found:
            return None
        medians = np.median([(level.sd, level.f_av, level.f_av_2d) for level in found], axis=0)
        return NoiseLevel(*(float(value) for value in medians))


def measure_blend(source: Source, model: LoadedModel) -> BlendNoise | None:
    """Denoise a few slices of a series and measure their noise before and after; None without flat soft tissue."""
    context = model.denoiser.context
    full = replace(model, noise_kept=0.0)
    moments, samples, results = [], [], dict[int, HU]()
    for index, around in sampled_windows(source, context):
        item = around[context]
        clean = results[index] = denoise_slices(full, [around], 1.0)[0]
        moment = noise_moments(item, clean)
        if moment is not None:
            moments.append(moment)
            samples.append((item, clean))
    if not moments or np.mean(moments, axis=0)[0] <= 0:
        return None
    before, after, covariance = (float(value) for value in np.mean(moments, axis=0))
    return BlendNoise(before, after, covariance, samples, results)


def sampled_windows(source: Source, context: int) -> Iterator[tuple[int, list[Slice]]]:
    """Yield the few slices on which the noise of a series is measured: index, and the slice with its neighbours."""
    count = len(source)
    indices = [count // 2] if count < FEW else [int(i) for i in np.linspace(0, count - 1, MANY + 2)[1:-1].round()]
    return zip(indices, slice_windows(source, context, indices), strict=True)


def noise_moments(item: Slice, clean: HU) -> tuple[float, float, float] | None:
    """Return local variances before and after, and covariance, in the flattest soft tissue, HU^2."""
    pixel = item.mean_pixel_mm or ASSUMED_PIXEL_MM
    before, after = item.in_air.astype(np.float64), clean.astype(np.float64)
    flat = flat_tissue(before, item.valid, pixel)
    if flat is None:
        return None
    pairs = ((before, before), (after, after), (before, after))
    return tuple(local_covariance(one, other, flat, pixel) for one, other in pairs)  # type: ignore[return-value]
