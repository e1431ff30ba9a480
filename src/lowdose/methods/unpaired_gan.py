"""Training on low and normal dose of different slices: a critic, contrast, and consistency of neighbouring slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.methods.base import Update
from lowdose.methods.least_squares_gan import LeastSquaresGAN
from lowdose.methods.supervised import denoise_slice
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.similar_slices import masked_absolute_error, similar_pixels
from lowdose.sample_draws import uniform_draws


class UnpairedGAN(LeastSquaresGAN):
    """Training of any denoiser without a pair: it never sees low and full dose of one slice together.

    **Critic**: denoised images are to look like full-dose images of other slices. **Contrast**: the denoised image is
    compared with the low-dose image that it was made of, so that it shows the same patient. **Consistency**: the next
    or the previous slice is denoised too, and where the two low-dose slices show the same, both results are to be
    equal; their noise is independent, so it cannot be kept.

    Parameters
    ----------
    denoiser, critic
        See ``methods.critic_gan.CriticGAN``.
    contrast : Objective
        Compares denoised with low-dose images, with its weight.
    adversarial : float
        Weight of the critic's score.
    consistency : float
        Weight of the mean absolute difference between denoised neighbours; 0 = not computed.
    """

    def __init__(
        self, denoiser: Denoiser, critic: nn.Module, contrast: Objective, adversarial: float, consistency: float
    ) -> None:  # fmt: skip
        super().__init__(denoiser, critic, contrast, adversarial)
        self.consistency = consistency

    @property
    def fields(self) -> Sequence[str]:
        """Full dose, and low dose of other slices; low dose of the same slice is not looked at."""
        return ("low", "full", "unpaired")

    @property
    def neighbours(self) -> int:
        """One slice more on each side than the denoiser sees, so that the next one can be denoised as well."""
        return self.denoiser.context + 1 if self.consistency else 0

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of the critic and one of the denoiser, both with low dose of another slice."""
        return super().updates(batch._replace(low=batch.unpaired))

    def content_terms(self, denoised: Tensor, low: Tensor, full: Tensor, batch: PairedBatch) -> Mapping[str, Tensor]:
        """Return the contrast with the low-dose image, and the consistency with a neighbouring slice."""
        assert self.content is not None
        terms = dict(self.content.terms(denoised, low))
        if self.consistency:
            scale, middle = self.denoiser.scale, batch.low.shape[1] // 2
            clean, noisy = denoise_slice(self.denoiser, self._next_to(batch))
            kept = similar_pixels(batch.low[:, middle, None].clamp(scale.low, scale.high), noisy)
            error = masked_absolute_error(denoised, self.unit.encode(clean), kept)
            terms["consistency"] = self.consistency * error
        return terms

    def _next_to(self, batch: PairedBatch) -> Tensor:
        """Return the next or the previous slice of each sample among its own neighbours, (B, 2c+1, H, W), HU."""
        middle, context = batch.low.shape[1] // 2, self.denoiser.context
        after = (uniform_draws(batch.number, 1)[:, 0] < 0.5).to(batch.low.device).view(-1, 1, 1, 1)
        before, behind = (
            batch.low[:, place - context : place + context + 1] for place in (middle - 1, middle + 1)
        )  # fmt: skip
        return torch.where(after, behind, before)
