"""Accuracy of an engine in HU, checked before it is used, and the synthetic slice that it is checked on.

Engines are checked on this slice, and fast ones on slices of the user's series as well (``series_accuracy``).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lowdose.image import HU
from lowdose.infer.engines.base import EXACT
from lowdose.networks.denoiser import Denoiser

SIDE = 256
"""Side of the reference slice in pixels."""

CHECKED = (slice(116, 212), slice(80, 176))
"""Rows and columns of the reference slice on which engines are checked: soft tissue, lung, bone and their borders.

An inaccurate engine is inaccurate everywhere in the image. PyTorch has no fast convolution in float64: RED-CNN takes
two seconds and 0.6 GiB on these 96 x 96 pixels, 14 s and 2 GiB on the whole slice.
"""

EXACT_HU = 0.01
"""Largest difference from float64, HU, that an engine of exact accuracy may have at any pixel."""

BIAS_HU, RMS_HU, P999_HU = 0.2, 1.0, 8.0
"""Limits in HU for fast accuracy: absolute mean, root mean square and 99.9th percentile of the difference."""


@dataclass(frozen=True)
class Difference:
    """Statistics of the difference between two images, in HU.

    Attributes
    ----------
    bias : float
        Mean of the signed difference, HU.
    rms : float
        Root mean square, HU.
    p999 : float
        99.9th percentile of the absolute difference, HU.
    most : float
        Maximum of the absolute difference, HU.
    """

    bias: float
    rms: float
    p999: float
    most: float

    @classmethod
    def between(cls, reference: HU | NDArray[np.float64], result: HU) -> Difference:
        """Compare ``result`` with ``reference`` over all pixels; the arrays share one shape, which is arbitrary.

        All four statistics are infinite if the result holds NaN or infinity.
        """
        error = result.astype(np.float64) - reference
        if not np.isfinite(error).all():
            return cls(*[float("inf")] * 4)
        size = np.abs(error)
        statistics = error.mean(), np.sqrt(np.square(error).mean()), np.quantile(size, 0.999), size.max()
        return cls(*(float(value) for value in statistics))

    def fault(self, accuracy: str) -> str:
        """Describe in a few words which limits of this accuracy are exceeded; '' if none is."""
        if accuracy == EXACT:
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
        """Return the statistics by name, HU."""
        return asdict(self)


def checked_slice(slices: int = 1) -> Tensor:
    """Return the part of the reference slice on which engines are checked, (1, slices, 96, 96), float32, HU."""
    return reference_slice(slices)[(..., *CHECKED)].contiguous()


def in_float64(denoiser: Denoiser, hu: Tensor) -> NDArray[np.float64]:
    """Denoise with PyTorch in float64 on the CPU: the reference for the accuracy of the engines."""
    precise = deepcopy(denoiser).to("cpu", torch.float64)
    return np.asarray(precise.denoise(hu.double()).numpy())


def reference_slice(slices: int = 1) -> Tensor:
    """Return a synthetic noisy CT slice, the same in every run: a trunk with lungs, spine, vessels and fat.

    Shape (1, slices, SIDE, SIDE), float32, HU. The noise has an SD of 30 HU and, at low frequencies, the spectrum of
    filtered back-projection, with no power at frequency zero.
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
