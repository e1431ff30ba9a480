"""Random numbers of training samples, which depend on the number of each sample alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def uniform_draws(number: Tensor, count: int) -> Tensor:
    """Return ``count`` numbers from [0, 1) for each sample, so that several processes draw what one would.

    Those of consecutive samples are an additive recurrence: n times powers of 1/g modulo 1, with g the root of
    x**(count + 1) = x + 1 (for one number the golden ratio). They are uniform, also jointly, and more evenly so than
    random numbers.

    Parameters
    ----------
    number : Tensor
        Number of each sample in the training, (B,) int64.
    count : int
        Numbers for each sample.

    Returns
    -------
    Tensor
        (B, count) float32.

    Examples
    --------
    >>> import torch
    >>> from lowdose.sample_draws import uniform_draws
    >>> [round(draw, 3) for draw in uniform_draws(torch.tensor([0, 1, 2]), 1).flatten().tolist()]
    [0.0, 0.618, 0.236]
    """
    root = 2.0
    for _ in range(64):
        root = (1 + root) ** (1 / (count + 1))
    steps = torch.tensor([root ** -(place + 1) for place in range(count)], dtype=torch.float64, device=number.device)
    return (number.double()[:, None] * steps).frac().float()


def independent_draws(number: Tensor, count: int) -> Tensor:
    """Return ``count`` numbers from [0, 1) for each sample, independent of each other as those of any generator.

    Parameters
    ----------
    number : Tensor
        Number of each sample in the training, (B,) int64; it seeds the draws.
    count : int
        Numbers for each sample.

    Returns
    -------
    Tensor
        (B, count) float32.

    Examples
    --------
    >>> import torch
    >>> from lowdose.sample_draws import independent_draws
    >>> independent_draws(torch.tensor([7, 8]), 100).shape
    torch.Size([2, 100])
    """
    return _of_each(number, lambda generator: torch.rand(count, generator=generator))


def distinct_draws(number: Tensor, count: int, total: int) -> Tensor:
    """Return ``count`` different whole numbers below ``total`` for each sample, in random order.

    Parameters
    ----------
    number : Tensor
        Number of each sample in the training, (B,) int64; it seeds the draws.
    count : int
        Numbers for each sample, at most ``total``.
    total : int
        Bound of the numbers.

    Returns
    -------
    Tensor
        (B, count) int64.

    Examples
    --------
    >>> import torch
    >>> from lowdose.sample_draws import distinct_draws
    >>> sorted(distinct_draws(torch.tensor([7]), 4, 4)[0].tolist())
    [0, 1, 2, 3]
    """
    return _of_each(number, lambda generator: torch.randperm(total, generator=generator)[:count])


def normal_draws(number: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Return white Gaussian noise for each sample.

    Parameters
    ----------
    number : Tensor
        Number of each sample in the training, (B,) int64; with ``stream`` it seeds the draws.
    shape : sequence of int
        Shape of the noise of one sample.
    stream : int
        Streams from 0 to 7 are independent of each other.

    Returns
    -------
    Tensor
        (B, *shape) float32 of mean 0 and variance 1, drawn on the CPU and the same for every device.

    Examples
    --------
    >>> import torch
    >>> from lowdose.sample_draws import normal_draws
    >>> normal_draws(torch.tensor([7, 8]), (4, 16, 16)).shape
    torch.Size([2, 4, 16, 16])
    """
    return _of_each(8 * number + stream, lambda generator: torch.randn(*shape, generator=generator))


def _of_each(seed: Tensor, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Return what is drawn with each of the seeds (B,), on the CPU, and stacked on the device of the seeds."""
    drawn = [draw(torch.Generator().manual_seed(each)) for each in seed.tolist()]
    return torch.stack(drawn).to(seed.device)
