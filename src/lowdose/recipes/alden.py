"""ALDEN (Wang et al. 2025): an anatomy-aware discriminator and semantic-guided contrast, for any denoiser.

A reconstruction: of the paper the abstract alone is public. From it are the parts and what each is for; denoiser,
vision model, layers, weights, optimiser and sizes are this project's choice, so no figure of the paper can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.language import autoencoder_file
from lowdose.methods.anatomy_gan import AnatomyAwareGAN
from lowdose.methods.base import Method
from lowdose.methods.supervised import Supervised
from lowdose.networks.anatomy_discriminator import AnatomyDiscriminator
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_identified
from lowdose.networks.features.semantic import map_channels
from lowdose.objectives.base import Objective
from lowdose.objectives.leda import Leda
from lowdose.objectives.pixel import MSE
from lowdose.objectives.semantic_contrast import SemanticContrast
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, SMALL, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, check_patch


@dataclass(frozen=True)
class AldenHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of ALDEN; each part can be switched off, as an ablation does.

    Attributes
    ----------
    mse_weight : float
        Weight of the mean squared error.
    adversarial_weight : float
        Weight of the discriminator's judgement; 0 = there is no discriminator. At the output of a RED-CNN trained with
        mean squared error, the judgement of an untrained discriminator pulls 400 times as hard as that error (median
        over 11 validation slices).
    anatomy_aware : int
        1: the discriminator attends to the anatomy of the full-dose image. 0: it is an ordinary PatchGAN.
    contrast_weight : float
        Weight of the semantic contrast; 0 = none. With the default it pulls half as hard as mean squared error there
        (median over 43 validation slices, quartiles 0.3 and 1.4; ``experiments/leaderboard/gradient_strength.py``).
    leda_weight : float
        Weight of the LEDA loss, as of the recipe ``leda``; 0 = none.
    discriminator_learning_rate : float
        Largest learning rate of the discriminator.
    discriminator_width : int
        Channels of the discriminator's first stage.
    """

    mse_weight: float = 1.0
    adversarial_weight: float = 3e-4
    anatomy_aware: int = 1
    contrast_weight: float = 1e-4
    leda_weight: float = 0.0
    discriminator_learning_rate: float = 1e-4
    discriminator_width: int = 64

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("mse_weight", "adversarial_weight", "contrast_weight", "leda_weight"), (0, LARGE)),
        "anatomy_aware": (0, 1),
        "discriminator_learning_rate": (SMALL, LARGE),
        "discriminator_width": (1, 256),
    }


def _method(denoiser: Denoiser, h: AldenHyperparameters, teachers: Mapping[str, str]) -> Method:  # type: ignore[type-arg]
    features, source = load_identified(teachers["features"])
    content = _content(h, features, source, teachers["autoencoder"])
    check_patch(h.patch, content)
    if h.adversarial_weight == 0:
        return Supervised(denoiser, content)
    semantic = map_channels(features) if h.anatomy_aware else []
    discriminator = AnatomyDiscriminator(semantic, h.discriminator_width)
    return AnatomyAwareGAN(
        denoiser, discriminator, features, source, content, h.adversarial_weight, h.discriminator_learning_rate
    )


def _content(h: AldenHyperparameters, features: FrozenFeatures, source: str, autoencoder: str) -> Objective:
    """Return the weighted sum of the terms that are switched on, besides the discriminator's judgement."""
    parts: list[tuple[float, Objective]] = [(h.mse_weight, MSE())] if h.mse_weight else []
    if h.contrast_weight:
        parts.append((h.contrast_weight, SemanticContrast(features, source)))
    if h.leda_weight:
        loaded = autoencoder_file.load_autoencoder(autoencoder)
        parts.append((h.leda_weight, Leda(loaded.autoencoder, source=loaded.sha256)))
    if not parts:
        raise InvalidSetting(
            "mse_weight=0, contrast_weight=0 and leda_weight=0: nothing ties the result to the input; set one above 0"
        )
    first, *others = (weight * part for weight, part in parts)
    return sum(others, first)


RECIPE = DenoiserRecipe(
    paper="Wang et al., Anatomy-aware low-dose CT denoising via pretrained vision models and semantic-guided "
    "contrastive learning, MICCAI 2025 (reconstruction from the abstract)",
    network=default_denoiser("esau_net").network,
    method=_method,
    scale=default_denoiser("esau_net").scale,
    # Adam (0.9, 0.99) and 1e-4, as SeD, the closest published relative.
    hyperparameters=AldenHyperparameters(
        steps=100_000, batch=8, patch=128, learning_rate=1e-4, final_learning_rate=1e-6, weight_decay=0.0
    ),
    teachers={"features": "anatomy", "autoencoder": autoencoder_file.TEACHER},
    accepts_any_network=True,
)
