"""Adversarial training of a denoiser with U-Net discriminators of the image and of its gradient (DU-GAN)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.hounsfield import Scale
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.cutmix import consistency, cutmix_masks, draws_of_domain, mix, ramp
from lowdose.objectives.least_squares import least_squares
from lowdose.objectives.pixel import MSE
from lowdose.objectives.sobel import SobelMagnitudeError, sobel_magnitude

UNIT = Scale(low=-1000.0, high=2000.0, zero=-300.0, one=300.0)
"""Unit of the paper, in which its weights are stated. The paper clips images to [-300, 300] HU; here nothing is."""

DOMAINS: Mapping[str, Callable[[Tensor], Tensor]] = {"image": lambda image: image, "gradient": sobel_magnitude}
"""What each discriminator sees of an image."""


@dataclass(frozen=True)
class DualDomainWeights:
    """Weights of the losses; the defaults are those of the authors' release.

    Attributes
    ----------
    image, gradient : float
        Weights of the scores of both discriminators in the denoiser's loss.
    mse, sobel : float
        Weights of the mean squared error and of the mean absolute difference of the Sobel magnitudes.
    consistency : float
        Weight of the consistency of scores under CutMix.
    cutmix : float
        Share of the samples that are mixed, after the ramp.
    cutmix_ramp : int
        Steps over which this share rises from 0.
    """

    image: float = 0.1418
    gradient: float = 0.1196
    mse: float = 5.034
    sobel: float = 35.31
    consistency: float = 5.087
    cutmix: float = 0.76
    cutmix_ramp: int = 1000


class DualDomainGAN(Method[PairedBatch]):
    """Training of any denoiser against discriminators that score whole images and every pixel of them.

    In every step each discriminator has a turn and then the denoiser. For a discriminator, full dose is real, denoised
    and low-dose images are not; of some samples it also sees a mixture of full dose and denoised (CutMix).

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train.
    discriminators : mapping of str to nn.Module
        Discriminators by what they see, of ``DOMAINS``. They map images (B, 1, H, W), with [-300, 300] HU as [0, 1], or
        their gradients, to a score for each image and one for each pixel.
    learning_rate : float
        Learning rate of the discriminators.
    weights : DualDomainWeights
        Weights of all losses.
    """

    turn: Tensor

    def __init__(
        self, denoiser: Denoiser, discriminators: Mapping[str, nn.Module], learning_rate: float,
        weights: DualDomainWeights,
    ) -> None:  # fmt: skip
        super().__init__()
        self.denoiser, self.discriminators = denoiser, nn.ModuleDict(discriminators)
        self.weights, self._learning_rate = weights, learning_rate
        self.content = weights.mse * MSE() + weights.sobel * SobelMagnitudeError()
        self.register_buffer("turn", torch.tensor(0))

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser and each discriminator by name."""
        return {"denoiser": self.denoiser, **{f"{name}_critic": module for name, module in self.discriminators.items()}}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return Adam for all, with a learning rate of their own for the discriminators."""
        critics = OptimiserSettings("adam", self._learning_rate)
        return dict.fromkeys(self.trained_modules(), critics) | {"denoiser": OptimiserSettings("adam")}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield an update of each discriminator, then one of the denoiser."""
        self.turn += 1
        denoised, low, full = (UNIT.encode(image) for image in denoise_batch(self.denoiser, batch))
        for place, name in enumerate(self.discriminators):
            draws = draws_of_domain(batch.number, place, len(self.discriminators))
            real, fake, source = (DOMAINS[name](image) for image in (full, denoised.detach(), low))
            yield Update(f"{name}_critic", self._critic_terms(self.discriminators[name], real, fake, source, draws))
        yield Update("denoiser", self._denoiser_terms(denoised, full))

    def _critic_terms(
        self, critic: nn.Module, real: Tensor, fake: Tensor, source: Tensor, draws: Tensor
    ) -> dict[str, Tensor]:
        mask = cutmix_masks(draws[:, :3], *real.shape[2:])
        mixed = draws[:, 3] < ramp(int(self.turn), self.weights.cutmix_ramp, self.weights.cutmix)
        all_scores = critic(torch.cat([real, fake, source, mix(real, fake, mask)]))
        scores, pixels = (values.float().chunk(4) for values in all_scores)
        terms = {
            name: (least_squares(scores[place], wanted) + least_squares(pixels[place], wanted)).mean()
            for place, (name, wanted) in enumerate({"full": 1.0, "denoised": 0.0, "low": 0.0}.items())
        }
        composite = least_squares(scores[3], 0.0) + least_squares(pixels[3], mask)
        agreement = consistency(pixels[3], pixels[0], pixels[1], mask)
        return terms | {
            "cutmix": (mixed * composite).mean(),
            "consistency": self.weights.consistency * (mixed * agreement).mean(),
        }

    def _denoiser_terms(self, denoised: Tensor, full: Tensor) -> dict[str, Tensor]:
        terms = dict(self.content.terms(denoised, full))
        for name, critic in self.discriminators.items():
            critic.eval()  # or the estimates of its spectral norms would change in a turn that is not its own
            score, pixels = (values.float() for values in critic(DOMAINS[name](denoised)))
            critic.train()
            loss = (least_squares(score, 1.0) + least_squares(pixels, 1.0)).mean()
            terms[f"{name}_adversarial"] = getattr(self.weights, name) * loss
        return terms
