"""WGAN-VGG (Yang et al. 2018): a denoiser against a critic, with a perceptual loss.

The paper looks with VGG-19, whose weights are not shipped: ``--teacher features:vgg19:WEIGHTS``
takes them, and the maps of the anatomy network stand in for them otherwise. Run and weights name the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.wasserstein_gan import WassersteinGAN
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.perceptual import perceptual_with
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, check_patch


@dataclass(frozen=True)
class WGANHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the adversarial training.

    Attributes
    ----------
    perceptual_weight : float
        Weight of the perceptual loss; 0 = not computed. The features' differences are relative here
        (``objectives.perceptual``), so that the paper's 0.1 means something else with every network.
    penalty : float
        Weight of the critic's gradient penalty.
    critic_turns : int
        Steps, each with a turn of the critic, for one turn of the denoiser.
    critic_width : int
        Channels of the critic's first layer, see ``networks.critic``.
    """

    perceptual_weight: float = 0.1
    penalty: float = 10.0
    critic_turns: int = 4
    critic_width: int = 64

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("perceptual_weight", "penalty"), (0, LARGE)),
        **dict.fromkeys(("critic_turns", "critic_width"), (1, 1024)),
    }


def _method(denoiser: Denoiser, hyperparameters: WGANHyperparameters, teachers: Mapping[str, str]) -> WassersteinGAN:
    content = None
    if hyperparameters.perceptual_weight > 0:
        content = hyperparameters.perceptual_weight * perceptual_with(teachers["features"])
        check_patch(hyperparameters.patch, content)
    critic = patch_critic(hyperparameters.patch, hyperparameters.critic_width)
    return WassersteinGAN(denoiser, critic, content, hyperparameters.penalty, hyperparameters.critic_turns)


RECIPE = DenoiserRecipe(
    paper="Yang et al., Low-dose CT denoising using a GAN with Wasserstein distance and perceptual loss, IEEE TMI 2018",
    network=default_denoiser("wgan_vgg").network,
    method=_method,
    scale=default_denoiser("wgan_vgg").scale,
    # Adam (0.5, 0.9), batches of 128 patches of 64 x 64 pixels, and a constant learning rate without clipping or decay,
    # as in the authors' release, whose 1e-4 is ten times that of the paper. The moving average of the weights is the
    # project's addition: brightness swings between the two sides as they learn.
    hyperparameters=WGANHyperparameters(
        steps=100_000, batch=128, patch=64, learning_rate=1e-4, final_learning_rate=1e-4, beta1=0.5, beta2=0.9,
        weight_decay=0.0, clip=LARGE,
    ),
    teachers={"features": "anatomy"},
    accepts_any_network=True,
)  # fmt: skip
