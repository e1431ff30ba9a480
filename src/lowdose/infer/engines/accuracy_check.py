"""Is an engine right, in HU? Asked before it is used, on a slice that comes with lowdose and on the user's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lowdose.image import HU
from lowdose.infer.engines.base import EXACT

SIDE = 256
"""Pixels. What an engine gets wrong it gets wrong everywhere, and float64 on a whole slice takes long."""

EXACT_HU = 0.01
BIAS_HU, RMS_HU, P999_HU = 0.2, 1.0, 8.0


@dataclass(frozen=True)
class Difference:
    """How far one result lies from another, HU: mean, root mean square, 99.9th percentile and maximum of the size."""

    bias: float
    rms: float
    p999: float
    most: float

    @classmethod
    def between(cls, reference: HU | NDArray[np.float64], result: HU) -> Difference:
        """Over all pixels, any shape. A result with NaN or infinity is infinitely far."""
        apart = result.astype(np.float64) - reference
        if not np.isfinite(apart).all():
            return cls(*[float("inf")] * 4)
        size = np.abs(apart)
        numbers = apart.mean(), np.sqrt(np.square(apart).mean()), np.quantile(size, 0.999), size.max()
        return cls(*(float(number) for number in numbers))

    def fault(self, precision: str) -> str:
        """What is wrong with it for this precision, in a few words; '' when it passes."""
        if precision == EXACT:
            return "" if self.most <= EXACT_HU else f"off by {self.most:.3g} HU somewhere ({EXACT_HU} allowed)"
        faults = [
            f"{name} {size:.3g} HU ({limit:g} allowed)"
            for name, size, limit in (
                ("bias", abs(self.bias), BIAS_HU),
                ("rms", self.rms, RMS_HU),
                ("99.9th percentile", self.p999, P999_HU),
            )
            if not size <= limit
        ]
        return ", ".join(faults)

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def reference_slice(slices: int = 1) -> Tensor:
    """(1, slices, SIDE, SIDE) HU float32, the same in every run: a trunk with lungs, spine, vessels and fat, and noise.

    The noise has the spectrum of filtered back-projection at low frequency, none at zero, and an SD of 30 HU.
    """
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / (SIDE / 2)
    hu = np.full((SIDE, SIDE), -1000.0)
    shapes = [
        (0.0, 0.0, 0.72, 0.94, -100.0), (0.0, 0.0, 0.64, 0.86, 45.0), (-0.05, -0.45, 0.42, 0.28, -860.0),
        (-0.05, 0.45, 0.42, 0.28, -820.0), (0.42, 0.0, 0.15, 0.14, 250.0), (0.42, 0.0, 0.06, 0.06, 900.0),
        (-0.1, 0.0, 0.16, 0.13, 160.0), (-0.05, -0.45, 0.03, 0.03, 20.0), (0.3, 0.5, 0.08, 0.12, 105.0),
    ]  # fmt: skip
    for down, right, height, width, value in shapes:
        hu[((y - down) / height) ** 2 + ((x - right) / width) ** 2 < 1] = value
    random, images = np.random.default_rng(0), []
    for _ in range(slices):
        white = random.normal(size=hu.shape)
        noise = gaussian_filter(white, 0.7) - gaussian_filter(white, 2.0)
        images.append(gaussian_filter(hu, 0.8) + 30.0 * noise / noise.std())
    return torch.from_numpy(np.stack(images).astype(np.float32))[None]
