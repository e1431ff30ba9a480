"""Callbacks of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

Progress = Callable[[int, int, float, float], None]
"""(step, steps, loss, seconds left): reports progress."""


@dataclass
class TrainerHooks:
    """Callbacks of the training loop.

    Attributes
    ----------
    batches : Callable[[int, int], Iterator[tuple[Tensor, ...]]]
        (first, last): yields one batch, a NamedTuple of tensors, for each of the steps from first to last - 1.
    validate : Callable[[], Mapping[str, float]]
        Returns metrics to log; called while the model has the averaged weights.
    export : Callable[[], None]
        Writes the model; called while it has the averaged weights.
    progress : Callable[[int, int, float, float], None]
        See ``Progress``.
    stopped : Callable[[], bool]
        Returns whether the run is to end early.
    steps_fitted : Callable[[], None]
        Called when the number of steps was changed by a time limit, or by a method that has finished; the settings
        hold it.
    """

    batches: Callable[[int, int], Iterator[tuple[Tensor, ...]]]
    validate: Callable[[], Mapping[str, float]]
    export: Callable[[], None]
    progress: Progress
    stopped: Callable[[], bool]
    steps_fitted: Callable[[], None] = lambda: None
