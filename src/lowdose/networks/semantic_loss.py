"""The semantic loss of a token pyramid (SPAE; LEDA, Eq. 1): latents are drawn to words that describe the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import Nearest, squared_lengths

Pools = Sequence[Sequence[Tensor]]
"""Candidate tokens, ``pools[image][layer]``: one-dimensional tensors of token numbers, of any length but zero."""


class PoolMoments(NamedTuple):
    """All that the loss takes from a layer's pools: the mean over candidates of |z - e|^2 is |z - mean|^2 + spread.

    mean: (B, C) mean token of each image's pool; spread: (B,) mean squared distance of its tokens from that.
    """

    mean: Tensor
    spread: Tensor


def check_pools(pools: Pools, images: int, layers: int, words: int) -> None:
    """Raises InvalidSetting unless there is a pool of existing tokens for each image and layer."""
    if len(pools) != images:
        raise InvalidSetting(f"candidate pools of {len(pools)} images for a batch of {images}: give one list an image")
    for image, per_layer in enumerate(pools):
        if len(per_layer) != layers:
            raise InvalidSetting(f"image {image} has {len(per_layer)} candidate pools, the pyramid {layers} layers")
        for layer, pool in enumerate(per_layer):
            place = f"the candidate pool of image {image}, layer {layer + 1}"
            if pool.ndim != 1 or pool.is_floating_point() or pool.is_complex() or pool.dtype == torch.bool:
                raise InvalidSetting(f"{place} is {tuple(pool.shape)} {pool.dtype}: give a list of token numbers")
            if not len(pool):
                raise InvalidSetting(f"{place} is empty: lower that layer's threshold so that a token is left")
            least, most = int(pool.min()), int(pool.max())
            if least < 0 or most >= words:
                raise InvalidSetting(
                    f"{place} names token {least if least < 0 else most}, the codebook has 0 to {words - 1}: "
                    "make the pools with the vocabulary of this codebook"
                )


@torch.no_grad()
def pool_moments(pools: Sequence[Tensor], table: Tensor, squares: Tensor) -> PoolMoments:
    """Of one layer's pools, one an image; no token is copied out of ``table`` (V, C), of squared lengths (V,)."""
    ends = torch.tensor([0, *(len(pool) for pool in pools)]).cumsum(0)
    token = torch.cat([pool.to(table.device, torch.int64) for pool in pools])
    starts = ends[:-1].to(table.device)
    mean = functional.embedding_bag(token, table, starts, mode="mean")
    square = functional.embedding_bag(token, squares[:, None], starts, mode="mean")[:, 0]
    # Rounding must not make a spread negative: the loss of a pool of one token would be too.
    return PoolMoments(mean, (square - squared_lengths(mean)).clamp(min=0))


class _ClosedForm(torch.autograd.Function):
    """A value together with its gradient, both known already; how the gradient changes is not."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            # Taken for a constant, it would drop its part of every second derivative without a word.
            raise NotImplementedError("the semantic loss has no second derivative: leave create_graph=True out")
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None


def semantic_loss(points: Tensor, found: Nearest, pools: PoolMoments) -> Tensor:
    """Mean over one layer's positions and candidates of -log softmax_k(-|z - e_k|^2) at the candidate: a scalar.

    points: (N, C) residuals z_l, image after image, equally many of each; found: their ``nearest`` with softmax, and
    with expectation where a gradient is wanted. Its gradient with respect to z is 2 (expected token - mean
    candidate) / N; a second derivative is refused. Tokens are constants. Never negative.
    """
    assert found.log_sum is not None
    each = len(points) // len(pools.mean)
    mean, spread = (moment.repeat_interleave(each, 0) for moment in pools)
    # -log softmax = (|z - c|^2 - least) + log sum exp(least - |z - e_k|^2): large equal parts cancel in float64.
    apart = (points.detach().double() - mean).square_().sum(1)
    value = (apart + spread - found.distance + found.log_sum).mean().to(points.dtype)
    if found.expected is None:
        return value
    result: Tensor = _ClosedForm.apply(points, value, (found.expected - mean) * (2 / len(points)))  # type: ignore[no-untyped-call]
    return result
