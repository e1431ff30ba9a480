"""How an autoencoder's latents and tokens answer to noise, and whether its reconstructions keep the texture.

The noise is that of the dose simulator, so that it lies and looks as in a scan; its strength is scaled afterwards.
``metrics.texture_sensitivity`` defines the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor

from lowdose.errors import NothingToRead
from lowdose.hounsfield import OBJECTIVE
from lowdose.image import HU, Mask
from lowdose.metrics.texture_sensitivity import (
    noise_distance_ratio,
    systematic_share,
    texture_axis_share,
    texture_leakage,
)
from lowdose.networks.autoencoder import Autoencoder, reconstruct
from lowdose.physics.dose_simulator import DoseSimulator, noise_generator
from lowdose.physics.geometry import Grid
from lowdose.physics.kernels import Kernel
from lowdose.physics.scanner import Scanner

NOISE_HU = 23.0
"""SD in soft tissue of the noise that is added to a smooth slice."""
LEAST_SYSTEMATIC_SHARE = 0.8
"""B below which a teacher counts as blind to texture."""
LEVELS_HU = (16.0, 23.0, 37.0)
"""SDs in soft tissue at which the texture of reconstructions is compared with that of the input."""
SIDE = 256
"""Side in pixels of the middle of a slice for which noise is simulated."""
KERNEL, EXPOSURE, DOSE = Kernel("hann", 0.7), 600.0, 0.25
"""Of the simulated noise: a soft kernel, mAs mm, and the share of the dose."""
HIGH_PASS_PX = 5
"""Side of the square whose mean is taken out for the high-pass SD."""


@dataclass(frozen=True)
class NoiseSensitivity:
    """What noise does to the features of one slice.

    Attributes
    ----------
    systematic_share, noise_distance_ratio, leakage : (float, float)
        B, D and ``texture_leakage`` of the latents and of the embeddings of their tokens.
    axis_share : float
        ``texture_axis_share`` of the latents.
    """

    systematic_share: tuple[float, float]
    noise_distance_ratio: tuple[float, float]
    leakage: tuple[float, float]
    axis_share: float


def blindness(name: str, share: float) -> str | None:
    """Return a warning of an autoencoder whose latents have this systematic share; None for one that sees texture."""
    if share >= LEAST_SYSTEMATIC_SHARE:
        return None
    return (
        f"autoencoder '{name}' is blind to texture: of what noise changes in its latents {max(0.0, share):.0%} is the "
        f"same for every realisation (a teacher needs {LEAST_SYSTEMATIC_SHARE:.0%}); it prefers smooth images"
    )


def simulated_noise(smooth: HU, pixel_mm: tuple[float, float], count: int, key: str = "") -> NDArray[np.float32]:
    """Simulate realisations of noise in the middle of a slice, (count, SIDE, SIDE) or smaller, of SD 1 in soft tissue.

    The noise lies where the body's attenuation puts it. ``key`` identifies the slice.
    """
    simulator, rng = DoseSimulator(Scanner(), KERNEL), noise_generator(0, key)
    expected = simulator.expected(smooth, pixel_mm, EXPOSURE)
    rows, columns = middle(smooth.shape)
    grid = Grid((rows.stop - rows.start, columns.stop - columns.start), pixel_mm)
    part = expected._replace(grid=grid, gain=None)
    noise = np.stack([simulator.noise(part, DOSE, rng) for _ in range(count)])
    return np.asarray(noise / _soft_tissue_sd(noise, smooth[rows, columns]), np.float32)


def middle(shape: Sequence[int]) -> tuple[slice, slice]:
    """Return rows and columns of the middle of a slice, at most ``SIDE`` each, in multiples of 16 pixels."""
    sides = [min(SIDE, side // 16 * 16) for side in shape]
    first, second = ((side - part) // 2 for side, part in zip(shape, sides, strict=True))
    return slice(first, first + sides[0]), slice(second, second + sides[1])


def noise_sensitivity(autoencoder: Autoencoder, smooth: HU, noise: NDArray[np.float32]) -> NoiseSensitivity:
    """Measure how the features answer on a smooth image (y, x) in HU with realisations of noise (n, y, x) in HU."""
    left = noise[0].copy()
    left[:, left.shape[1] // 2 :] = 0.0
    features = [np.stack(both) for both in zip(*_features(autoencoder, [smooth, smooth + left]), strict=True)]
    noisy = [np.stack(both) for both in zip(*_features(autoencoder, list(smooth + noise)), strict=True)]
    shares, ratios, leaks = [], [], []
    for (clean, half), many in zip(features, noisy, strict=True):
        shares.append(systematic_share(many, clean))
        ratios.append(noise_distance_ratio(many, clean))
        leaks.append(texture_leakage(half, clean))
    axis_share = texture_axis_share(noisy[0], features[0][0])
    return NoiseSensitivity((shares[0], shares[1]), (ratios[0], ratios[1]), (leaks[0], leaks[1]), axis_share)


@torch.inference_mode()
def _features(autoencoder: Autoencoder, images: Sequence[HU]) -> Iterator[tuple[NDArray[np.float32], ...]]:
    """Yield the latents and the token embeddings of each image (y, x) in HU."""
    for hu in images:
        latents = autoencoder.encode(unit_image(hu, next(autoencoder.parameters()).device))
        yield latents[0].cpu().numpy(), autoencoder.quantise(latents).embedding[0].cpu().numpy()


def unit_image(hu: HU, device: torch.device) -> Tensor:
    """Return a slice (y, x) in HU as (1, 1, y, x) in the unit of objectives."""
    image = torch.from_numpy(np.ascontiguousarray(hu, np.float32))[None, None].to(device)
    return OBJECTIVE.encode(image.clamp(OBJECTIVE.low, OBJECTIVE.high))


@torch.inference_mode()
def high_pass_sds(autoencoder: Autoencoder, smooth: HU, noise: HU) -> list[tuple[float, float]]:
    """Return the high-pass SD in soft tissue of input and reconstruction, HU, with noise (y, x) of ``LEVELS_HU``."""
    device = next(autoencoder.parameters()).device
    found = []
    for level in LEVELS_HU:
        image = smooth + level * noise
        made = OBJECTIVE.decode(reconstruct(autoencoder, unit_image(image, device))[0])[0, 0].cpu().numpy()
        found.append((_soft_tissue_sd(_high_pass(image), smooth), _soft_tissue_sd(_high_pass(made), smooth)))
    return found


def _high_pass(image: HU) -> HU:
    return np.asarray(image - uniform_filter(image, HIGH_PASS_PX), np.float32)


def even_soft_tissue(smooth: HU) -> Mask | None:
    """Return the pixels of even soft tissue in the middle of a smooth slice; None where they are too few."""
    return _even_soft_tissue(smooth[middle(smooth.shape)])


def _even_soft_tissue(smooth: HU) -> Mask | None:
    even = np.abs(smooth - gaussian_filter(smooth, 4.0)) < 10.0
    mask = even & (smooth > -30.0) & (smooth < 130.0)
    return mask if np.count_nonzero(mask) >= 400 else None


def _soft_tissue_sd(noise: NDArray[np.floating], smooth: HU) -> float:
    """Return the SD of noise (..., y, x) in even soft tissue of a smooth slice; raise NothingToRead without any."""
    mask = _even_soft_tissue(smooth)
    if mask is None:
        raise NothingToRead("the middle of the slice shows no even soft tissue, in which noise could be measured")
    return float(noise[..., mask].std())
