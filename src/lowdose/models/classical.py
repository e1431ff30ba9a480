"""Classical baselines behind the denoiser's face: what a learned model has to beat.

Each setting was chosen once, for PSNR on patient L096 (see docs/results.md), in units of the noise measured in the
slice, so that a soft kernel or another dose is not filtered with a sharp kernel's strength.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lowdose.hounsfield import Scale
from lowdose.image import HU
from lowdose.metrics.noise_estimate import noise_level

UNMEASURED_NOISE = 20.0
"""HU assumed where a slice has no soft tissue to measure the noise in."""


def non_local_means(hu: HU, sd: float, strength: float) -> HU:
    """Buades 2005 by scikit-image: patches of 5 px within 6 px; (y, x) HU, ``sd`` HU."""
    from skimage.restoration import denoise_nl_means  # here, for it takes a second that no network has to wait for

    return np.asarray(
        denoise_nl_means(hu, patch_size=5, patch_distance=6, h=strength * sd, sigma=0.0, fast_mode=True), np.float32
    )


def total_variation(hu: HU, sd: float, strength: float) -> HU:
    """Rudin-Osher-Fatemi by Chambolle's algorithm (scikit-image); (y, x) HU, ``sd`` HU."""
    from skimage.restoration import denoise_tv_chambolle

    tv = denoise_tv_chambolle(hu.astype(np.float64), weight=strength * sd, max_num_iter=100)  # type: ignore[no-untyped-call]
    return np.asarray(tv, np.float32)


def gaussian(hu: HU, sd: float, strength: float) -> HU:
    """Plain smoothing with a sigma of ``strength`` pixels, whatever the noise."""
    return np.asarray(gaussian_filter(hu, strength), np.float32)


@dataclass(frozen=True)
class Classical:
    """A filter with its tuned strength; the same HU-to-HU face as a trained denoiser."""

    filter: Callable[[HU, float, float], HU]
    strength: float
    scale: Scale = field(default_factory=Scale)
    context: ClassVar[int] = 0
    noise_free: ClassVar[bool] = False

    def denoise(self, hu: Tensor) -> Tensor:
        """(B, 1, H, W) HU -> the same; values outside the scale's range come back exactly."""
        clean = torch.stack([torch.from_numpy(self._one(image[0].cpu().numpy()))[None] for image in hu]).to(hu)
        return self.scale.blend(hu, clean)

    def _one(self, hu: HU) -> HU:
        inside = np.clip(hu, self.scale.low, self.scale.high)
        level = noise_level(inside, np.ones(hu.shape, bool), 1.0)
        return self.filter(inside, level.sd if level else UNMEASURED_NOISE, self.strength)


CLASSICAL = {
    "nlm": Classical(non_local_means, 0.95),
    "tv": Classical(total_variation, 0.7),
    "gaussian": Classical(gaussian, 0.7),
}
