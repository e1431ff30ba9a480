"""Moments of an autoencoder's latents, and a linear map that gives them the moments of the codebook's embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

FLOOR = (1e-5, 1e-3)
"""Smallest variances, of latents and of embeddings, as shares of the largest. A smaller variance of the latents is
rounding error; a smaller one of the embeddings would be noise."""


class LatentMoments(nn.Module):
    """Number of steps done, and first and second moments of the latents of some of them; saved in checkpoints.

    Attributes
    ----------
    steps : Tensor
        Training steps done, a scalar int64.
    count : Tensor
        Latent vectors added, a scalar float64.
    total : Tensor
        Sum of the latent vectors, (C,) float64.
    square : Tensor
        Sum of their outer products, (C, C) float64.
    """

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
        """Add latents (B, C, h, w) of this and of all other processes.

        All processes then have the same moments, and a checkpoint of one of them serves all.
        """
        vectors = latents.movedim(1, -1).flatten(0, 2).double()
        sums = (self.count.new_tensor(len(vectors)), vectors.sum(0), vectors.T @ vectors)
        for buffer, increment in zip((self.count, self.total, self.square), sums, strict=True):
            if distributed.is_available() and distributed.is_initialized():
                distributed.all_reduce(increment)
            buffer += increment

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean (C,) and the covariance (C, C) of the latents added so far."""
        mean = self.total / self.count
        return mean, self.square / self.count - torch.outer(mean, mean)


@torch.no_grad()
def match_moments(
    to_words: nn.Conv2d,
    from_words: nn.Conv2d,
    spread: LatentMoments,
    codebook: Tensor,
    unit: float = 1.0,
    floor: float = FLOOR[0],
) -> None:
    """Give latents the mean and covariance of the embeddings in ``codebook`` (V, C) by a linear map.

    The map is merged into the 1x1 convolution ``to_words``. The k-th principal axis of the latents becomes the k-th of
    the embeddings. The inverse map is merged into ``from_words``, so that latents that are decoded without quantisation
    give the same image as before. The latents of images vary along few axes, the embeddings along all. Without this
    map a handful of embeddings would be nearest to all latents, and no gradient would ever lead to the others.

    unit: factor between the result of ``to_words`` and latents. floor: smallest variance of an axis, as a share of
    the largest, that is brought to that of the embeddings; axes of less variance are stretched as much as that.
    """
    mean, covariance = spread.moments()
    embeddings = codebook.double()
    embedding_mean = embeddings.mean(0)
    variances, axes = torch.linalg.eigh(covariance)
    embedding_variances, embedding_axes = torch.linalg.eigh(torch.cov(embeddings.T))
    stretch = (_floored(embedding_variances, FLOOR[1]) / _floored(variances, floor)).sqrt()
    forward = embedding_axes @ torch.diag(stretch) @ axes.T
    inverse = axes @ torch.diag(1 / stretch) @ embedding_axes.T
    weight, bias = (unit * part for part in _linear_map(to_words))
    _set_linear_map(to_words, forward @ weight / unit, (forward @ (bias - mean) + embedding_mean) / unit)
    weight, bias = _linear_map(from_words)
    weight = weight / unit
    _set_linear_map(from_words, weight @ inverse * unit, bias + weight @ (mean - inverse @ embedding_mean))


def _floored(variances: Tensor, share: float) -> Tensor:
    return variances.clamp(min=share * float(variances.max()))


def _linear_map(convolution: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return the matrix and the bias of a 1x1 convolution."""
    assert convolution.bias is not None
    return convolution.weight[:, :, 0, 0].double(), convolution.bias.double()


def _set_linear_map(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert convolution.bias is not None
    convolution.weight.copy_(weight[:, :, None, None])
    convolution.bias.copy_(bias)
