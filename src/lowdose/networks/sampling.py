"""Networks that denoise by random draws: their noise is seeded by the slice, so that results are reproducible."""

from __future__ import annotations

import hashlib
from typing import Protocol

import torch
from torch import Tensor, nn


class SliceNoise:
    """Random numbers for the images of a batch, each from the content of its slice alone.

    The same slice gets the same numbers on any device, in any batch, order or thread, and in float64.

    Parameters
    ----------
    hu : (B, 1, H, W) Tensor, HU
        The slices.
    """

    def __init__(self, hu: Tensor) -> None:
        whole = hu.detach().round().to("cpu", torch.int32)
        self._generators = [torch.Generator().manual_seed(_seed(image)) for image in whole]

    def normal(self, like: Tensor) -> Tensor:
        """Draw standard normal numbers of the shape, type and device of ``like``, (B, C, H, W)."""
        drawn = [torch.randn(like.shape[1:], generator=generator) for generator in self._generators]
        return torch.stack(drawn).to(like)


def _seed(image: Tensor) -> int:
    digest = hashlib.sha256(image.contiguous().numpy().tobytes()).digest()
    return int.from_bytes(digest[:7], "little")


class Sampler(Protocol):
    """What a network has besides ``forward`` if its result is drawn: ``sample`` is called to denoise."""

    def sample(self, x: Tensor, noise: SliceNoise) -> Tensor:
        """Denoise the middle one of neighbouring slices, in network units: (B, slices, H, W) -> (B, 1, H, W).

        ``noise`` is the only source of random numbers.
        """
        ...


def is_sampler(network: nn.Module) -> bool:
    """Return whether a network denoises by sampling."""
    return callable(getattr(network, "sample", None))
