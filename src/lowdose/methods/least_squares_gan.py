"""Adversarial training of a denoiser with a discriminator (LSGAN) and an objective for the content."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lowdose.methods.critic_gan import CriticGAN
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.least_squares import least_squares


class LeastSquaresGAN(CriticGAN):
    """Training against a critic that scores full-dose images with 1 and denoised ones with 0, by least squares.

    Both sides have a turn in every step.

    Parameters
    ----------
    denoiser, critic, content
        See ``methods.critic_gan.CriticGAN``.
    weight : float
        Weight of the critic's score in the loss of the denoiser.

    References
    ----------
    X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang, S. P. Smolley, Least Squares Generative Adversarial Networks, ICCV
    2017.
    """

    def __init__(self, denoiser: Denoiser, critic: nn.Module, content: Objective | None, weight: float) -> None:
        super().__init__(denoiser, critic, content, critic_turns=1)
        self.weight = weight

    def critic_terms(self, real: Tensor, fake: Tensor, number: Tensor) -> Mapping[str, Tensor]:
        """Return the mean squared distance of scores of full-dose images from 1, and of denoised ones from 0."""
        return {
            "full": least_squares(self.critic(real), 1.0).mean(),
            "denoised": least_squares(self.critic(fake), 0.0).mean(),
        }

    def adversarial(self, scores: Tensor) -> Tensor:
        """Return the mean squared distance of the scores from 1."""
        return self.weight * least_squares(scores, 1.0).mean()
