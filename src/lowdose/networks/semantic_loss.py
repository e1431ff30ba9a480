"""The semantic loss of a token pyramid (SPAE, Yu et al. 2023; LEDA, Chen et al. 2024, Eq. 1).

It pulls latents towards words that describe the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.batch import Pools
from lowdose.errors import InvalidSetting
from lowdose.networks.nearest_token import Nearest, squared_lengths


class PoolMoments(NamedTuple):
    """Mean and spread of the candidate tokens of a layer, one pool for each of B images.

    The loss needs nothing else of the pools: the mean over candidates e of |z - e|^2 is |z - mean|^2 + spread.

    Attributes
    ----------
    mean : (B, C)
        Mean embedding of the tokens of each pool.
    spread : (B,)
        Mean squared distance of the tokens of each pool from their mean.
    """

    mean: Tensor
    spread: Tensor


def pools_of_layer(pools: Pools, layer: int, points: int) -> tuple[list[Tensor], Tensor | None]:
    """Return the non-empty pools of a layer, and which of its ``points`` residuals they are for; None = all.

    One pool for each image serves all positions of that image.
    """
    chosen = [per_layer[layer] for per_layer in pools]
    if all(isinstance(pool, Tensor) for pool in chosen):
        return [pool for pool in chosen if isinstance(pool, Tensor)], None
    of_positions = [pool for per_image in chosen for pool in per_image]
    if len(of_positions) != points:
        raise InvalidSetting(f"layer {layer + 1} has {points} positions and {len(of_positions)} candidate pools")
    kept = torch.tensor([len(pool) > 0 for pool in of_positions])
    return [pool for pool in of_positions if len(pool)], kept


def check_pools(pools: Pools, images: int, layers: int, words: int) -> None:
    """Check that there are pools of existing tokens for each image and layer. Raises InvalidSetting otherwise."""
    if len(pools) != images:
        raise InvalidSetting(f"candidate pools of {len(pools)} images for a batch of {images}: give one list an image")
    for image, per_layer in enumerate(pools):
        of_positions = bool(per_layer) and not isinstance(per_layer[0], Tensor)
        if len(per_layer) != (len(pools[0]) if of_positions else layers) or len(per_layer) > layers:
            raise InvalidSetting(f"image {image} has {len(per_layer)} candidate pools, the pyramid {layers} layers")
        for layer, pool in enumerate(per_layer):
            place = f"the candidate pool of image {image}, layer {layer + 1}"
            if isinstance(pool, Tensor) and not len(pool):
                raise InvalidSetting(f"{place} is empty: lower that layer's threshold so that a token is left")
            for tokens in [pool] if isinstance(pool, Tensor) else pool:
                _check_tokens(tokens, place, words)


def _check_tokens(pool: Tensor, place: str, words: int) -> None:
    if pool.ndim != 1 or pool.is_floating_point() or pool.is_complex() or pool.dtype == torch.bool:
        raise InvalidSetting(f"{place} is {tuple(pool.shape)} {pool.dtype}: give a list of token numbers")
    lowest, highest = (int(pool.min()), int(pool.max())) if len(pool) else (0, 0)
    if lowest < 0 or highest >= words:
        raise InvalidSetting(
            f"{place} names token {lowest if lowest < 0 else highest}, the codebook has 0 to {words - 1}: "
            "make the pools with the vocabulary of this codebook"
        )


@torch.no_grad()
def pool_moments(pools: Sequence[Tensor], table: Tensor, squares: Tensor) -> PoolMoments:
    """Compute the moments of the pools of one layer, one pool an image.

    table: (V, C) embeddings of all tokens, of which no rows are copied; squares: (V,) their squared lengths.
    """
    ends = torch.tensor([0, *(len(pool) for pool in pools)]).cumsum(0)
    token = torch.cat([pool.to(table.device, torch.int64) for pool in pools])
    starts = ends[:-1].to(table.device)
    mean = functional.embedding_bag(token, table, starts, mode="mean")
    square = functional.embedding_bag(token, squares[:, None], starts, mode="mean")[:, 0]
    # Rounding must not make a spread negative, as the loss of a pool of one token would then be negative too.
    return PoolMoments(mean, (square - squared_lengths(mean)).clamp(min=0))


class _ClosedForm(torch.autograd.Function):
    """Function whose value and gradient are both given. It has no second derivative."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """Return ``value``, and keep its gradient with respect to ``points``."""
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to ``points``."""
        if torch.is_grad_enabled():
            # The gradient would count as a constant, and second derivatives would silently be wrong.
            raise NotImplementedError("the semantic loss has no second derivative: leave create_graph=True out")
        (gradient,) = ctx.saved_tensors
        return grad_output * gradient, None, None


def semantic_loss(points: Tensor, found: Nearest, pools: PoolMoments) -> Tensor:
    """Return the semantic loss of one layer, a scalar that is never negative.

    It is the mean over the layer's positions and candidates of -log softmax_k(-|z - e_k|^2), taken at the candidate.
    Its gradient with respect to z is 2 (expected token - mean candidate) / N; tokens have no gradient, and a second
    derivative raises NotImplementedError.

    points: (N, C) residuals z_l, image after image, the same number for each image; found: result of ``nearest`` for
    them, with softmax, and with expectation where a gradient is needed; pools: moments of the candidates.
    """
    assert found.log_sum is not None
    positions_per_image = len(points) // len(pools.mean)
    mean, spread = (moment.repeat_interleave(positions_per_image, 0) for moment in pools)
    # -log softmax = (|z - c|^2 - least) + log sum exp(least - |z - e_k|^2): large equal parts cancel in float64.
    squared_distance = (points.detach().double() - mean).square_().sum(1)
    value = (squared_distance + spread - found.distance + found.log_sum).mean().to(points.dtype)
    if found.expected is None:
        return value
    result: Tensor = _ClosedForm.apply(points, value, (found.expected - mean) * (2 / len(points)))  # type: ignore[no-untyped-call]
    return result
