"""ASCON (Chen et al. 2023): a denoiser and MAC-Net, which compares its features with those of full dose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.anatomical_contrast import PATCH_WINDOW, AnatomicalContrast
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.mac_net import MULTIPLE
from lowdose.objectives.pixel import MSE
from lowdose.objectives.structural_similarity import StructuralSimilarity
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, SMALL, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe

SMALLEST = MULTIPLE * PATCH_WINDOW


@dataclass(frozen=True)
class ASCONHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the training with contrast.

    Attributes
    ----------
    content_weight : float
        Weight of ``mse_weight`` MSE + (1 - SSIM).
    mse_weight : float
        Weight of squared error in it; 10 in the authors' release.
    contrast_weight : float
        Weight of the mean of both contrastive losses.
    mac_width : int
        Width of MAC-Net, see ``networks.mac_net``. The published 64 wants a GPU; 16 is a size for a CPU.
    mac_learning_rate : float
        Largest learning rate of MAC-Net.
    """

    content_weight: float = 10.0
    mse_weight: float = 10.0
    contrast_weight: float = 0.1
    mac_width: int = 64
    mac_learning_rate: float = 2e-4

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("content_weight", "mse_weight", "contrast_weight"), (0, LARGE)),
        "mac_width": (1, 256),
        "mac_learning_rate": (SMALL, LARGE),
    }


def _method(denoiser: Denoiser, h: ASCONHyperparameters, _: Mapping[str, str]) -> AnatomicalContrast:
    if h.patch % MULTIPLE or h.patch < SMALLEST:
        raise InvalidSetting(
            f"patch={h.patch}: MAC-Net needs a multiple of {MULTIPLE} pixels, at least {SMALLEST}; take "
            f"patch={max(SMALLEST, h.patch // MULTIPLE * MULTIPLE)}"
        )
    content = h.content_weight * (h.mse_weight * MSE() + StructuralSimilarity())
    return AnatomicalContrast(denoiser, h.mac_width, content, h.contrast_weight, h.mac_learning_rate)


RECIPE = DenoiserRecipe(
    paper="Chen et al., ASCON: Anatomy-aware supervised contrastive learning framework for low-dose CT denoising, "
    "MICCAI 2023",
    network=default_denoiser("esau_net").network,
    method=_method,
    scale=default_denoiser("esau_net").scale,
    # As in the authors' release: AdamW (0.5, 0.999), half a cosine from 2e-4 to 1e-6 for both sides, no clipping. Its
    # 100 epochs of 4,800 slices in batches of 8 are 60,000 steps. Patches of 128 pixels, with 64 places of the global
    # map, are the project's, as is the moving average of the denoiser's weights.
    hyperparameters=ASCONHyperparameters(
        steps=60_000, batch=8, patch=128, learning_rate=2e-4, final_learning_rate=1e-6, beta1=0.5, beta2=0.999,
        weight_decay=0.01, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
