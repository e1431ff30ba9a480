"""Training on low dose alone, towards neighbouring slices that show the same (Noise2Sim, Niu et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.supervised import denoise_slice
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.similar_slices import masked_absolute_error, similar_pixels
from lowdose.sample_draws import uniform_draws

REACH = 2
"""Slices on each side that may be the target."""


class SimilarSlices(Method[PairedBatch]):
    """Training of any denoiser on low-dose series alone: the target is a neighbouring slice of the same series.

    It is drawn for each patch from up to ``REACH`` slices away, without those that the denoiser itself sees, which it
    would only have to copy; one that sees so many has the next slice beyond. Pixels at which the two slices differ are
    left out (``objectives.similar_slices``), and patches whose neighbour is missing.

    **Noise of the two slices must be independent.** Slices that overlap, or are thicker than the step between them,
    share photons and so noise. What they share is in the target as well, and is learned as if it were the patient: with
    noise that is all shared, the best denoiser is the identity.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train; it is marked as one that estimates the noise-free image.
    weight : float
        Factor on the mean absolute error.
    """

    accumulates: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, weight: float) -> None:
        super().__init__()
        self.denoiser, self.weight = denoiser, weight
        denoiser.noise_free = True

    @property
    def fields(self) -> Sequence[str]:
        """Low dose alone."""
        return ("low",)

    @property
    def neighbours(self) -> int:
        """Slices on each side, of which the farthest may be the target."""
        return max(REACH, self.denoiser.context + 1)

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser by name."""
        return {"denoiser": self.denoiser}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield one update of the denoiser."""
        denoised, own = denoise_slice(self.denoiser, batch.low)
        target = self._targets(batch.low.clamp(self.denoiser.scale.low, self.denoiser.scale.high), batch.number)
        kept = similar_pixels(own, target)
        error = masked_absolute_error(OBJECTIVE.encode(denoised), OBJECTIVE.encode(target), kept)
        yield Update("denoiser", {"similar": self.weight * error})

    def _targets(self, low: Tensor, number: Tensor) -> Tensor:
        """Return for each stack of slices (B, 2c+1, H, W) the one that is its target, (B, 1, H, W)."""
        middle = low.shape[1] // 2
        beyond = range(self.denoiser.context + 1, self.neighbours + 1)
        places = torch.tensor([middle + side * steps for steps in beyond for side in (-1, 1)], device=low.device)
        drawn = (uniform_draws(number, 1)[:, 0] * len(places)).long().clamp(max=len(places) - 1)
        return low[torch.arange(len(low), device=low.device), places[drawn.to(low.device)], None]
