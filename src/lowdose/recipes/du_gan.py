"""DU-GAN (Huang et al. 2022): a denoiser against two U-Net discriminators, of the image and of its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.dual_domain_gan import DOMAINS, DualDomainGAN, DualDomainWeights
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.unet_discriminator import UNetDiscriminator
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, SMALL, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

USUAL = DualDomainWeights()


@dataclass(frozen=True)
class DUGANHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the adversarial training in two domains.

    Attributes
    ----------
    image_weight, gradient_weight : float
        Weights of the scores of the discriminators of the image and of its gradient; 0 = there is none of this kind.
    mse_weight, sobel_weight : float
        Weights of the mean squared error, and of the mean absolute difference of the gradients' magnitudes.
    consistency_weight : float
        Weight of the consistency of the discriminators' scores under CutMix.
    cutmix : float
        Share of the patches that CutMix mixes.
    cutmix_ramp : int
        Steps over which this share rises from 0.
    discriminator_learning_rate : float
        Largest learning rate of both discriminators.
    discriminator_width, discriminator_levels : int
        Size of each, see ``networks.unet_discriminator``. The published one has 57,213,839 parameters, which wants a
        GPU; width 16 with 4 levels has 1.5 million.
    """

    image_weight: float = USUAL.image
    gradient_weight: float = USUAL.gradient
    mse_weight: float = USUAL.mse
    sobel_weight: float = USUAL.sobel
    consistency_weight: float = USUAL.consistency
    cutmix: float = USUAL.cutmix
    cutmix_ramp: int = USUAL.cutmix_ramp
    discriminator_learning_rate: float = 7.12e-5
    discriminator_width: int = 64
    discriminator_levels: int = 6

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(
            ("image_weight", "gradient_weight", "mse_weight", "sobel_weight", "consistency_weight", "cutmix_ramp"),
            (0, LARGE),
        ),
        "cutmix": (0, 1),
        "discriminator_learning_rate": (SMALL, LARGE),
        "discriminator_width": (1, 256),
        "discriminator_levels": (1, 8),
    }


def _method(denoiser: Denoiser, h: DUGANHyperparameters, _: Mapping[str, str]) -> DualDomainGAN:
    multiple = 2**h.discriminator_levels
    if h.patch % multiple:
        levels = (h.patch & -h.patch).bit_length() - 1
        instead = f", or discriminator_levels={levels}" if levels else ""
        raise InvalidSetting(
            f"patch={h.patch}: a discriminator of {h.discriminator_levels} levels needs a multiple of {multiple} "
            f"pixels; take patch={multiple * max(1, h.patch // multiple)}{instead}"
        )
    weights = DualDomainWeights(
        h.image_weight, h.gradient_weight, h.mse_weight, h.sobel_weight, h.consistency_weight, h.cutmix, h.cutmix_ramp
    )
    discriminators = {
        name: UNetDiscriminator(h.discriminator_width, h.discriminator_levels)
        for name in DOMAINS
        if getattr(weights, name) > 0
    }
    return DualDomainGAN(denoiser, discriminators, h.discriminator_learning_rate, weights)


RECIPE = DenoiserRecipe(
    paper="Huang et al., DU-GAN: dual-domain U-Net-based discriminators for low-dose CT denoising, IEEE TIM 2022",
    network=default_denoiser("du_gan").network,
    method=_method,
    scale=default_denoiser("du_gan").scale,
    # As in the authors' release: Adam with a constant learning rate, without clipping, and the moving average of the
    # weights that every run has here anyway.
    hyperparameters=DUGANHyperparameters(
        steps=100_000, batch=64, patch=64, learning_rate=1.81e-4, final_learning_rate=1.81e-4, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
