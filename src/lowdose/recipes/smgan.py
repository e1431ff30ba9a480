"""SMGAN (You et al. 2018): a denoiser of several slices against a critic, with a structurally sensitive loss.

A reconstruction: the paper's text was not available. Its abstract and published descriptions give the generator, the
critic of WGAN-VGG, WGAN-GP with the penalty 10, and the form of the loss, tau (1 - MS-SSIM) + (1 - tau) L1. Original
weights are not known; tau and the number of the critic's turns are those of one unofficial script.

The published critic sees three denoised slices as channels. Here the network denoises one slice, and a batch lacks the
outer slices that denoising its neighbours would need (``full_context`` has the neighbours of the target, ``low`` those
of the input only); so critic and loss see one slice, as they do for any other network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.wasserstein_gan import WassersteinGAN
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import L1
from lowdose.objectives.structural_similarity import SCALE_WEIGHTS, MultiScaleStructuralSimilarity
from lowdose.training.adversarial import WassersteinHyperparameters, wasserstein
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserRecipe


@dataclass(frozen=True)
class SMGANHyperparameters(WassersteinHyperparameters):
    """Hyperparameters of WGAN-GP with the structurally sensitive loss.

    Attributes
    ----------
    structural_weight : float
        Weight of the structurally sensitive loss, that of the critic's score being 1; 0 = not computed. The script has
        1e-2, which is taken here for the weight of the score beside this loss. With 100, its gradient at the output of
        a denoiser that was trained with mean squared error is about ten times as large as that of the score, whose norm
        the penalty keeps at 1 (``experiments/leaderboard/gradient_strength.py``, patches of 64 pixels).
    tau : float
        Share of MS-SSIM in this loss; the rest is L1.
    scales : int
        Scales of MS-SSIM. This is the project's choice: patches of 64 pixels have room for the first three of five.
    """

    critic_turns: int = 5
    structural_weight: float = 100.0
    tau: float = 0.89
    scales: int = 3

    LIMITS: ClassVar[Limits] = {
        **WassersteinHyperparameters.LIMITS,
        "structural_weight": (0, LARGE),
        "tau": (0, 1),
        "scales": (1, len(SCALE_WEIGHTS)),
    }


def _method(denoiser: Denoiser, h: SMGANHyperparameters, _: Mapping[str, str]) -> WassersteinGAN:
    structural = h.tau * MultiScaleStructuralSimilarity(h.scales) + (1 - h.tau) * L1()
    return wasserstein(denoiser, h, h.structural_weight * structural if h.structural_weight > 0 else None)


RECIPE = DenoiserRecipe(
    paper="You et al., Structurally-sensitive multi-scale deep neural network for low-dose CT denoising, IEEE Access "
    "2018 (a reconstruction: weights, schedule and start of the original are not known)",
    network=default_denoiser("smgan").network,
    method=_method,
    scale=default_denoiser("smgan").scale,
    # Schedule, betas and batch are those of the recipe wgan_vgg, since the original's are not known.
    hyperparameters=SMGANHyperparameters(
        steps=100_000, batch=128, patch=64, learning_rate=1e-4, final_learning_rate=1e-4, beta1=0.5, beta2=0.9,
        weight_decay=0.0, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
