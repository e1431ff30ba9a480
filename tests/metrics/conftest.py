"""A synthetic body and noise of known level and texture, so that every metric is tested without patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]


@pytest.fixture(scope="session")
def body() -> Array:
    """A body in HU, (320, 320): air, fat, muscle, organs, bone, lung and sixty vessels."""
    y, x = np.mgrid[:320, :320] - 160.0
    radius = np.hypot(x / 1.2, y)
    hu = np.where(radius < 128, np.where(radius < 112, 50.0, -100.0), -1000.0)
    inserts = ((-62, -24, 40, 120), (66, 15, 25, 30), (0, 70, 20, 500), (30, -62, 18, -80), (-20, 45, 20, -800))
    for cx, cy, size, value in inserts:
        hu[np.hypot(x - cx, y - cy) < size] = value
    rng = np.random.default_rng(5)
    for _ in range(60):
        cx, cy = rng.uniform(-100, 100, 2)
        hu[(np.hypot(x - cx, y - cy) < rng.uniform(1.5, 4)) & (radius < 108)] += rng.uniform(20, 120)
    return gaussian_filter(hu, 1.0).astype(np.float32)


@pytest.fixture(scope="session")
def textured() -> Callable[..., tuple[Array, float]]:
    """Noise (y, x) of SD 1 with NPS ~ f exp(-(f / peak)^2), white without a peak, and its true f_av in 1/mm."""

    def make(shape: tuple[int, int], pixel_mm: float, peak: float | None, seed: int = 1) -> tuple[Array, float]:
        white = np.random.default_rng(seed).standard_normal(shape)
        nyquist = 0.5 / pixel_mm
        if peak is None:
            return white.astype(np.float32), nyquist / 2
        fy, fx = (np.fft.fftfreq(n, pixel_mm) for n in shape)
        f = np.hypot(fy[:, None], fx[None, :])
        noise = np.fft.ifft2(np.fft.fft2(white) * np.sqrt(f * np.exp(-((f / peak) ** 2)))).real
        line = np.linspace(0, nyquist, 2000)
        power = line * np.exp(-((line / peak) ** 2))
        return (noise / noise.std()).astype(np.float32), float((line * power).sum() / power.sum())

    return make
