"""Res-HLF (Ma et al. 2020): a generator of the noise, a least-squares critic, and a hybrid loss of SSIM and L1.

A reconstruction: the paper's text was not available. Its abstract gives the residual generator, the least-squares GAN
and the terms of the loss; all weights, the layers of both networks and the schedule are the project's choice. The
critic is that of ``wgan_vgg``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.least_squares_gan import LeastSquaresGAN
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import L1
from lowdose.objectives.structural_similarity import StructuralSimilarity
from lowdose.training.adversarial import CriticHyperparameters
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserRecipe, check_patch


@dataclass(frozen=True)
class ResHLFHyperparameters(CriticHyperparameters):
    """Hyperparameters of the least-squares GAN with the hybrid loss.

    The weights make the gradient of each term at the denoised image of the order of that of L1.

    Attributes
    ----------
    adversarial_weight : float
        Weight of the critic's score. With the weight 1 its gradient was 0.13 to 0.17 of that of L1, in 600 steps on the
        repository's fixture with a critic of width 16; it grows where the critic tells the images apart better.
    ssim_weight : float
        Weight of 1 - SSIM. With the weight 1 its gradient is 10 to 12 times that of L1 at the output of a denoiser that
        was trained with mean squared error (``experiments/leaderboard/gradient_strength.py``), and 5 to 10 times in
        those 600 steps.
    l1_weight : float
        Weight of the mean absolute error.
    """

    adversarial_weight: float = 5.0
    ssim_weight: float = 0.1
    l1_weight: float = 1.0

    LIMITS: ClassVar[Limits] = {
        **CriticHyperparameters.LIMITS,
        **dict.fromkeys(("adversarial_weight", "ssim_weight", "l1_weight"), (0, LARGE)),
    }


def _method(denoiser: Denoiser, h: ResHLFHyperparameters, _: Mapping[str, str]) -> LeastSquaresGAN:
    content = h.ssim_weight * StructuralSimilarity() + h.l1_weight * L1()
    check_patch(h.patch, content)
    return LeastSquaresGAN(denoiser, patch_critic(h.patch, h.critic_width), content, h.adversarial_weight)


RECIPE = DenoiserRecipe(
    paper="Ma et al., Low-dose CT image denoising using a generative adversarial network with a hybrid loss function "
    "for noise learning, IEEE Access 2020 (a reconstruction: weights, layers and schedule are not known)",
    network=default_denoiser("res_hlf").network,
    method=_method,
    scale=default_denoiser("res_hlf").scale,
    hyperparameters=ResHLFHyperparameters(
        steps=100_000, batch=64, patch=64, learning_rate=1e-4, final_learning_rate=1e-6, beta1=0.5, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
