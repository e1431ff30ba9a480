"""WIA-LD2ND (Zhao et al. 2024): normal dose alone, noise on its wavelets, and a loss that compares by frequency.

    lowdose train wia_ld2nd --pairing none --data NORMAL --out RUN

With pairs, only their full dose is trained on, and low dose serves for validation. This follows the abstract and not
the release, in which the input is the target, the noise of the sub-bands is drawn but not used, and the loss of feature
maps does not reach the gradient. What the abstract leaves open is this project's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.wavelet_alignment import WaveletAlignment
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.frequency_encoder import MULTIPLE
from lowdose.objectives.pixel import MSE
from lowdose.objectives.structural_similarity import StructuralSimilarity
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, check_patch


@dataclass(frozen=True)
class WIALD2NDHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the training with noise on wavelets.

    Attributes
    ----------
    ll_sd, lh_sd, hl_sd, hh_sd : float, HU
        Standard deviation of the noise in each sub-band of a Haar transform: low frequencies, those that are high along
        rows, along columns, and along both.
    least_noise : float
        Smallest share of these standard deviations; each patch has one between it and 1. 1 = they are as stated.
    mse_weight, ssim_weight : float
        Weights of the mean squared error and of 1 - SSIM.
    frequency_weight : float
        Weight of the distance of feature maps; 0 = not computed.
    encoder_width : int
        Channels of the encoder's first map, see ``networks.frequency_encoder``. The published 64 wants a GPU; 8 is a
        size for a CPU.
    """

    ll_sd: float = 25.0
    lh_sd: float = 50.0
    hl_sd: float = 50.0
    hh_sd: float = 25.0
    least_noise: float = 0.0
    mse_weight: float = 1.0
    ssim_weight: float = 0.001
    frequency_weight: float = 0.002
    encoder_width: int = 64

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("ll_sd", "lh_sd", "hl_sd", "hh_sd"), (0, 1000)),
        "least_noise": (0, 1),
        **dict.fromkeys(("mse_weight", "ssim_weight", "frequency_weight"), (0, LARGE)),
        "encoder_width": (1, 256),
    }


def _method(denoiser: Denoiser, h: WIALD2NDHyperparameters, _: Mapping[str, str]) -> WaveletAlignment:
    if h.patch % MULTIPLE:
        raise InvalidSetting(
            f"patch={h.patch}: wavelets of the feature maps need a multiple of {MULTIPLE} pixels; take "
            f"patch={max(2, h.patch // MULTIPLE) * MULTIPLE}"
        )
    content = h.mse_weight * MSE() + h.ssim_weight * StructuralSimilarity()
    check_patch(h.patch, content)
    sds = (h.ll_sd, h.lh_sd, h.hl_sd, h.hh_sd)
    return WaveletAlignment(denoiser, content, h.frequency_weight, sds, h.encoder_width, h.least_noise)


RECIPE = DenoiserRecipe(
    paper="Zhao et al., WIA-LD2ND: Wavelet-based image alignment for self-supervised low-dose CT denoising, MICCAI "
    "2024 (after its abstract: weights and layers are not known)",
    network=default_denoiser("unet").network,
    method=_method,
    scale=default_denoiser("unet").scale,
    # Noise, losses and Adam (0.5, 0.999) with 1e-4 are those of the authors' release, whose 300 epochs are of single
    # slices and whose denoiser is the ResNet of CycleGAN; network, patches, batch and steps are the project's, and
    # so are the weights, with which every term pulls about as hard as the squared error.
    hyperparameters=WIALD2NDHyperparameters(
        steps=60_000, batch=8, patch=128, learning_rate=1e-4, final_learning_rate=1e-6, beta1=0.5, beta2=0.999,
        weight_decay=0.0, clip=LARGE,
    ),
    accepts_any_network=True,
)  # fmt: skip
