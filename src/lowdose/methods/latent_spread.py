"""How latents are spread before they are words, and the turn that spreads them as the words are."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

FLOOR = (1e-5, 1e-3)
"""Smallest variances taken for true, of latents and of words, as shares of the largest: what lies below is rounding of
the first and would be noise in the second."""


class LatentMoments(nn.Module):
    """Steps made, and first and second moments of the latents of some of them; saved with the run."""

    steps: Tensor
    count: Tensor
    total: Tensor
    square: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(channels, channels, dtype=torch.float64))

    @torch.no_grad()
    def add(self, latents: Tensor) -> None:
        """latents: (B, C, h, w). Those of all processes are added, so that they turn alike and one's state is all's."""
        points = latents.movedim(1, -1).flatten(0, 2).double()
        sums = (self.count.new_tensor(len(points)), points.sum(0), points.T @ points)
        for kept, part in zip((self.count, self.total, self.square), sums, strict=True):
            if distributed.is_available() and distributed.is_initialized():
                distributed.all_reduce(part)
            kept += part

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean (C,), covariance (C, C))."""
        mean = self.total / self.count
        return mean, self.square / self.count - torch.outer(mean, mean)


@torch.no_grad()
def match_moments(to_words: nn.Conv2d, from_words: nn.Conv2d, spread: LatentMoments, codebook: Tensor) -> None:
    """Turns and stretches latents, so that they have the mean and the covariance of the words (V, C).

    The k-th principal axis of the latents becomes the k-th of the words. ``from_words`` takes the inverse, so a decoder
    that is given latents gives the same image as before. The latents of images lie on few axes, the words on all; left
    as they are, a handful of words is nearest to every latent, and no gradient passes from there to the others.
    """
    mean, covariance = spread.moments()
    words = codebook.double()
    middle = words.mean(0)
    of_latents, axes = torch.linalg.eigh(covariance)
    of_words, word_axes = torch.linalg.eigh(torch.cov(words.T))
    stretch = (_floored(of_words, FLOOR[1]) / _floored(of_latents, FLOOR[0])).sqrt()
    there = word_axes @ torch.diag(stretch) @ axes.T
    back = axes @ torch.diag(1 / stretch) @ word_axes.T
    weight, bias = _linear(to_words)
    _set(to_words, there @ weight, there @ (bias - mean) + middle)
    weight, bias = _linear(from_words)
    _set(from_words, weight @ back, bias + weight @ (mean - back @ middle))


def _floored(variances: Tensor, share: float) -> Tensor:
    return variances.clamp(min=share * float(variances.max()))


def _linear(convolution: nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert convolution.bias is not None
    return convolution.weight[:, :, 0, 0].double(), convolution.bias.double()


def _set(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert convolution.bias is not None
    convolution.weight.copy_(weight[:, :, None, None])
    convolution.bias.copy_(bias)
