"""Learning from pairs: denoise the low-dose patch, compare with the full-dose one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

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
        compared = OBJECTIVE.encode(self.weighed(pred, low, full))
        yield Turn("denoiser", self.objective.terms(compared, OBJECTIVE.encode(full)))

    def weighed(self, pred: Tensor, low: Tensor, full: Tensor) -> Tensor:
        """What the objective sees in place of ``pred``; all (B, 1, H, W) HU."""
        return pred


class Balanced(Supervised):
    """The error of each pair is measured against the noise of its input, or FLOOR where that is less.

    Over doses from 5 to 100 % and kernels from soft to sharp the noise differs thirtyfold, its square a thousandfold:
    unweighed, the worst images would be nearly all that is learned. The weight is a function of the input alone, so
    what is best for an input stays so; one of the noise that was *added* would favour the guess that little was.
    For objectives that grow with the error alone, as MSE.
    """

    FLOOR: ClassVar[float] = 10.0
    """HU."""

    def weighed(self, pred: Tensor, low: Tensor, full: Tensor) -> Tensor:
        return full + (pred - full) * (self.FLOOR / (noise_sd(low).square() + self.FLOOR**2).sqrt())


def noise_sd(hu: Tensor) -> Tensor:
    """(B, 1, H, W) HU -> (B, 1, 1, 1): about the SD of the noise, from what differs from the mean of 5x5 pixels.

    By the median, which edges hardly move; 1.4826 times it is the SD of a Gaussian.
    """
    rough = hu - functional.avg_pool2d(hu, 5, stride=1, padding=2, count_include_pad=False)
    return 1.4826 * rough.abs().flatten(1).median(dim=1).values[:, None, None, None]
