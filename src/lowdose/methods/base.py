"""What a training method is: who plays, what each is updated by, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from lowdose.batch import Batch
from lowdose.networks.denoiser import Denoiser


class Turn(NamedTuple):
    """One update: ``player`` is stepped down the sum of ``terms`` (weighted scalars, logged by name)."""

    player: str
    terms: Mapping[str, Tensor]


class Method(nn.Module, ABC):
    """Trains ``denoiser``. The loop owns optimisers and gradients; a method only says whose turn it is."""

    denoiser: Denoiser

    def players(self) -> Mapping[str, nn.Module]:
        """Modules that get an optimiser each."""
        return {"denoiser": self.denoiser}

    def saved(self) -> Mapping[str, nn.Module]:
        """What a checkpoint holds: players and their momentum targets, never a frozen teacher."""
        return self.players()

    @abstractmethod
    def turns(self, batch: Batch) -> Iterator[Turn]:
        """A generator of updates for one batch: past a ``yield``, that player has been updated."""
