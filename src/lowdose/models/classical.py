"""Classical denoising filters with the interface of a denoiser, as baselines for trained models.

The strength of each filter was chosen once, for PSNR on patient L096 (see docs/results.md). It is in units of the noise
SD measured in the slice, so that a scan with a soft kernel or another dose is not filtered with the strength for a
sharp kernel.
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
"""Noise SD in HU that is assumed if a slice has no soft tissue to measure the noise in."""


# The catalogue describes each filter to the user by its docstring, up to the first semicolon.


def non_local_means(hu: HU, sd: float, strength: float) -> HU:
    """Denoise by non-local means (Buades 2005, scikit-image), with patches of 5 px searched within 6 px; (y, x) HU.

    ``sd`` is the SD of the noise in HU; the filter parameter h is ``strength`` times that.
    """
    # Imported here because the import takes a second, which only the filters of scikit-image need.
    from skimage.restoration import denoise_nl_means

    return np.asarray(
        denoise_nl_means(hu, patch_size=5, patch_distance=6, h=strength * sd, sigma=0.0, fast_mode=True), np.float32
    )


def total_variation(hu: HU, sd: float, strength: float) -> HU:
    """Denoise by total variation (Rudin-Osher-Fatemi) with Chambolle's algorithm (scikit-image); (y, x) HU.

    ``sd`` is the SD of the noise in HU; the weight of the total variation is ``strength`` times that.
    """
    from skimage.restoration import denoise_tv_chambolle

    tv = denoise_tv_chambolle(hu.astype(np.float64), weight=strength * sd, max_num_iter=100)  # type: ignore[no-untyped-call]
    return np.asarray(tv, np.float32)


def gaussian(hu: HU, sd: float, strength: float) -> HU:
    """Smooth with a Gaussian with a sigma of ``strength`` pixels, whatever the noise; (y, x) HU."""
    return np.asarray(gaussian_filter(hu, strength), np.float32)


@dataclass(frozen=True)
class Classical:
    """A filter with its tuned strength, and the interface of a trained denoiser (HU to HU).

    Attributes
    ----------
    filter : callable
        Function of the image (y, x) in HU, the noise SD in HU, and the strength.
    strength : float
        Strength of the filter, in its own unit.
    scale : Scale
        Range of HU that is filtered.
    context : int
        Number of neighbouring slices on either side that the filter sees: none.
    noise_free : bool
        Whether the result is meant to be without any noise: it is not.
    """

    filter: Callable[[HU, float, float], HU]
    strength: float
    scale: Scale = field(default_factory=Scale)
    context: ClassVar[int] = 0
    noise_free: ClassVar[bool] = False

    def denoise(self, hu: Tensor) -> Tensor:
        """Denoise (B, 1, H, W) HU to the same shape; values outside the range of the scale are kept exactly."""
        clean = torch.stack([torch.from_numpy(self._denoise_slice(image[0].cpu().numpy()))[None] for image in hu]).to(
            hu
        )
        return self.scale.blend(hu, clean)

    def _denoise_slice(self, hu: HU) -> HU:
        """Filter one slice (y, x), HU, according to the noise measured in it."""
        inside = np.clip(hu, self.scale.low, self.scale.high)
        level = noise_level(inside, np.ones(hu.shape, bool), 1.0)
        return self.filter(inside, level.sd if level else UNMEASURED_NOISE, self.strength)


CLASSICAL = {
    "nlm": Classical(non_local_means, 0.95),
    "tv": Classical(total_variation, 0.7),
    "gaussian": Classical(gaussian, 0.7),
}
