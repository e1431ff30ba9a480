"""Conversion of images to another reconstruction kernel and another pixel size by linear filters."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from lowdose.image import HU

MIN_WINDOW = 0.1
"""Smallest divisor when the original kernel is undone: where it passes less than this, only rounding errors remain."""


def hann_window(relative: HU) -> HU:
    """Evaluate the Hann window 0.5 (1 + cos(pi f / cutoff)) at ``relative`` = f / cutoff; it is 0 above the cut-off."""
    return np.asarray(np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * np.minimum(relative, 1)))


def conversion_filter(frequency: HU, cutoff: float, own: float | None) -> HU:
    """Evaluate the filter that converts to a kernel, at frequencies in 1/mm; arguments as in ``convert_kernel``."""
    passed = 1.0 if own is None else np.maximum(hann_window(frequency / np.float32(own)), np.float32(MIN_WINDOW))
    return np.asarray(hann_window(frequency / np.float32(cutoff)) / passed, np.float32)


def convert_kernel(images: HU, pixel_mm: float, *, cutoff: float | None, own: float | None, side: int) -> HU:
    """Convert images to another reconstruction kernel and resample them to another matrix of the same field of view.

    images: (n, k, k) HU with pixels of ``pixel_mm``; returns (n, side, side). cutoff: cut-off frequency (1/mm) of the
    Hann window of the new kernel; None = keep the kernel. own: cut-off frequency (1/mm) of the kernel that the images
    were made with; None = unknown, in which case the images are only smoothed, by the new window. The interpolation is
    band-limited, with images mirrored at their edges.

    Reconstruction is linear, and kernels differ by such windows (FDA LCD_CT: B30 is about 0.78/mm, D45 about 1.87/mm),
    so a pair becomes the pair that the other kernel would have given, including the texture of the noise. All
    computations are in float32, with errors below 0.01 HU.
    """
    k = images.shape[-1]
    spectrum = fft.dctn(images, axes=(1, 2), norm="ortho", workers=1)
    if cutoff is not None:
        spectrum *= conversion_filter(_frequencies(k) / np.float32(pixel_mm), cutoff, own)
    if side != k:
        shared = min(k, side)
        resized = np.zeros((len(images), side, side), np.float32)
        resized[:, :shared, :shared] = spectrum[:, :shared, :shared] * np.float32(side / k)
        spectrum = resized
    return np.asarray(fft.idctn(spectrum, axes=(1, 2), norm="ortho", workers=1, overwrite_x=True), np.float32)


@lru_cache(maxsize=64)
def _frequencies(side: int) -> NDArray[np.float32]:
    """Return the radial frequency of each cosine of the transform, (k, k), in cycles per pixel."""
    f = np.arange(side, dtype=np.float32) / np.float32(2 * side)
    return np.asarray(np.hypot(f[:, None], f), np.float32)
