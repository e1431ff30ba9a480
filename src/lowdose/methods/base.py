"""What a training method is: who plays, what each is updated by, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from torch import Tensor, nn

B = TypeVar("B", bound=tuple[Tensor, ...])
"""What one step sees: a NamedTuple of tensors, see ``batch``."""


class Turn(NamedTuple):
    """One update: ``player`` is stepped down the sum of ``terms`` (weighted scalars, logged by name)."""

    player: str
    terms: Mapping[str, Tensor]


class Method(nn.Module, ABC, Generic[B]):
    """Trains ``model``. The loop owns optimisers and gradients; a method only says whose turn it is."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """What the training is for: its weights are averaged over time, judged and written."""

    @abstractmethod
    def players(self) -> Mapping[str, nn.Module]:
        """Modules that get an optimiser each."""

    def saved(self) -> Mapping[str, nn.Module]:
        """What a checkpoint holds: players and their momentum targets, never a frozen teacher."""
        return self.players()

    @abstractmethod
    def turns(self, batch: B) -> Iterator[Turn]:
        """A generator of updates for one batch: past a ``yield``, that player has been updated."""
