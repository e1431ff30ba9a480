"""What a training method is: who plays, what each is updated by, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

B = TypeVar("B", bound=tuple[Tensor, ...])
"""What one step sees: a NamedTuple of tensors, see ``batch``."""


class Update(NamedTuple):
    """One update: ``player`` is stepped down the sum of ``terms`` (weighted scalars, logged by name).

    afresh: its weights were just set by other means, so what its optimiser and its average remember is void.
    """

    module: str
    terms: Mapping[str, Tensor]
    reset_optimiser: bool = False


class Method(nn.Module, ABC, Generic[B]):
    """Trains ``model``. The loop owns optimisers and gradients; a method only says whose turn it is.

    accumulates: whether the terms are means over the images of a batch and nothing else of it counts, so that the
    gradient of a batch is the mean of those of its parts.
    """

    accumulates: ClassVar[bool] = False

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """What the training is for: its weights are averaged over time, judged and written."""

    @abstractmethod
    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Modules that get an optimiser each."""

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """What a checkpoint holds: players and their momentum targets, never a frozen teacher."""
        return self.trained_modules()

    def fingerprint(self) -> Mapping[str, object]:
        """What decides the updates besides numbers, a frozen teacher by hash: a run resumes with the same only."""
        return {}

    def extra_metrics(self) -> Mapping[str, float]:
        """Numbers to log besides the losses. Raises TrainingDiverged when the training can no longer succeed."""
        return {}

    @abstractmethod
    def updates(self, batch: B) -> Iterator[Update]:
        """A generator of updates for one batch: past a ``yield``, that player has been updated."""
