"""Adversarial training of a denoiser with a critic (WGAN-GP) and an objective for the content."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.critic_gan import CriticGAN
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.wasserstein import gradient_penalty, mixing_weights


class WassersteinGAN(CriticGAN):
    """Training against a critic whose mean scores are as far apart as its gradient of norm 1 allows.

    Half precision would break the penalty on this gradient.

    Parameters
    ----------
    denoiser, critic, content, critic_turns, unit
        See ``methods.critic_gan.CriticGAN``.
    penalty : float
        Weight of the gradient penalty.
    """

    def __init__(
        self, denoiser: Denoiser, critic: nn.Module, content: Objective | None, penalty: float = 10.0,
        critic_turns: int = 4, unit: Scale = OBJECTIVE,
    ) -> None:  # fmt: skip
        super().__init__(denoiser, critic, content, critic_turns, unit)
        self.penalty = penalty

    def critic_terms(self, real: Tensor, fake: Tensor, number: Tensor) -> Mapping[str, Tensor]:
        """Return the distance of the mean scores, with its sign changed, and the gradient penalty."""
        penalty = gradient_penalty(self.critic, real, fake, mixing_weights(number))
        distance = self.critic(fake).mean() - self.critic(real).mean()
        return {"wasserstein": distance, "penalty": self.penalty * penalty}

    def adversarial(self, scores: Tensor) -> Tensor:
        """Return the mean score with its sign changed."""
        return -scores.mean()
