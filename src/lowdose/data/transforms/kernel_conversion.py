"""The same scan reconstructed with another kernel, on pixels of another size: linear filters on the images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from lowdose.image import HU

LEAST = 0.1
"""Where the own kernel passes less than this share, it is not divided by less: nothing but rounding is left there."""


def hann_window(relative: HU) -> HU:
    """The window 0.5 (1 + cos(pi f / cutoff)) of a kernel at ``relative`` = f / cutoff; 0 beyond it."""
    return np.asarray(np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * np.minimum(relative, 1)))


def convert_kernel(images: HU, pixel_mm: float, *, cutoff: float | None, own: float | None, side: int) -> HU:
    """(n, k, k) HU of pixels of ``pixel_mm`` -> (n, side, side) of the same field, band-limited, mirrored at its edges.

    cutoff (1/mm): of the Hann window of the new kernel, None = the kernel stays. own: of the kernel the images were
    made with, None = not known; then they are only softened, by the new window. Reconstruction is linear and kernels
    differ by such windows (FDA LCD_CT: B30 is about 0.78/mm, D45 about 1.87/mm), so a pair becomes the pair that the
    other kernel would have given, texture of the noise included. All in float32: off by less than 0.01 HU.
    """
    k = images.shape[-1]
    spectrum = fft.dctn(images, axes=(1, 2), norm="ortho", workers=1)
    if cutoff is not None:
        f = _frequencies(k) / np.float32(pixel_mm)
        passed = np.float32(1) if own is None else np.maximum(hann_window(f / np.float32(own)), np.float32(LEAST))
        spectrum *= hann_window(f / np.float32(cutoff)) / passed
    if side != k:
        both = min(k, side)
        resized = np.zeros((len(images), side, side), np.float32)
        resized[:, :both, :both] = spectrum[:, :both, :both] * np.float32(side / k)
        spectrum = resized
    return np.asarray(fft.idctn(spectrum, axes=(1, 2), norm="ortho", workers=1, overwrite_x=True), np.float32)


@lru_cache(maxsize=64)
def _frequencies(side: int) -> NDArray[np.float32]:
    """(k, k): radial frequency of each cosine, in cycles a pixel."""
    f = np.arange(side, dtype=np.float32) / np.float32(2 * side)
    return np.asarray(np.hypot(f[:, None], f), np.float32)
