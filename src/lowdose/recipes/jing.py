"""Unpaired denoising with inter-slice consistency and contrast, after the title of Jing et al. (MICCAI 2023).

A reconstruction, of which the title alone is the paper's: unpaired, inter-slice consistency, contrastive learning. How
each is done is this project's choice, as are all weights; what boosts the contrast is not known,
and nothing does here. Low dose of one slice meets full dose of another; both are drawn from pairs of scans, whose two
doses of one slice never meet:

    lowdose train jing --data PAIRS --out RUN
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.unpaired_gan import UnpairedGAN
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.features.registry import load_identified
from lowdose.objectives.semantic_contrast import SemanticContrast
from lowdose.training.adversarial import CriticHyperparameters
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserRecipe, check_patch


@dataclass(frozen=True)
class JingHyperparameters(CriticHyperparameters):
    """Hyperparameters of the unpaired training.

    Attributes
    ----------
    adversarial_weight : float
        Weight of the critic's score.
    contrast_weight : float
        Weight of the contrast between denoised and low-dose image, by the maps of a frozen network.
    consistency_weight : float
        Weight of the mean absolute difference between denoised neighbouring slices; 0 = not computed.
    """

    adversarial_weight: float = 1.0
    contrast_weight: float = 0.3
    consistency_weight: float = 1.0

    LIMITS: ClassVar[Limits] = {
        **CriticHyperparameters.LIMITS,
        **dict.fromkeys(("adversarial_weight", "contrast_weight", "consistency_weight"), (0, LARGE)),
    }


def _method(denoiser: Denoiser, h: JingHyperparameters, teachers: Mapping[str, str]) -> UnpairedGAN:
    contrast = h.contrast_weight * SemanticContrast(*load_identified(teachers["features"]))
    check_patch(h.patch, contrast)
    critic = patch_critic(h.patch, h.critic_width)
    return UnpairedGAN(denoiser, critic, contrast, h.adversarial_weight, h.consistency_weight)


RECIPE = DenoiserRecipe(
    paper="Jing et al., Inter-slice consistency for unpaired low-dose CT denoising using boosted contrastive learning, "
    "MICCAI 2023 (a reconstruction from the title)",
    network=default_denoiser("unet").network,
    method=_method,
    scale=default_denoiser("unet").scale,
    hyperparameters=JingHyperparameters(
        steps=60_000, batch=8, patch=128, learning_rate=1e-4, final_learning_rate=1e-6, beta1=0.5, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    teachers={"features": "anatomy"},
    accepts_any_network=True,
)  # fmt: skip
