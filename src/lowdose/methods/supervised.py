"""Learning from pairs: denoise the low-dose patch, compare with the full-dose one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from lowdose.batch import Batch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Turn
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective


class Supervised(Method[Batch]):
    """Any denoiser with any objective. Values outside the denoiser's range take no part, as at inference."""

    def __init__(self, denoiser: Denoiser, objective: Objective) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.objective = objective

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def players(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser}

    def facts(self) -> Mapping[str, object]:
        return self.objective.facts()

    def turns(self, batch: Batch) -> Iterator[Turn]:
        scale = self.denoiser.scale
        low = batch.low.clamp(scale.low, scale.high)
        full = batch.full.clamp(scale.low, scale.high)
        pred = scale.decode(self.denoiser(scale.encode(low)).float())
        yield Turn("denoiser", self.objective.terms(OBJECTIVE.encode(pred), OBJECTIVE.encode(full)))
