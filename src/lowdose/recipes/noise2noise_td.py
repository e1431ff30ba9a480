"""Noise2NoiseTD (Zainulina et al. 2022): projections of low dose alone, each predicted from its neighbours in angle.

    lowdose train noise2noise_td --pairing none --data LOW --out RUN
    lowdose train noise2noise_td --pairing none --data NORMAL --set photons=20000 --out RUN

The projections are the project's own, of slices: with the noise that low-dose slices have, or with photons drawn for
slices of normal dose. With pairs, only their low dose is trained on, and full dose serves for validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.neighbouring_projections import NeighbouringProjections
from lowdose.networks.denoiser import Denoiser
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@dataclass(frozen=True)
class Noise2NoiseTDHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the training on projections.

    Attributes
    ----------
    photons : float
        Photons of each ray through air, drawn for slices of normal dose; 0 = the slices have noise of low dose.
    crop : int
        Projections and detector columns of a window.
    windows : int
        Windows of each slice.
    noise_weight : float
        Weight of the standard deviation of the noise, which is preferred to the uncertainty of the prediction.
    """

    photons: float = 0.0
    crop: int = 64
    windows: int = 8
    noise_weight: float = 0.1

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS, "photons": (0, 1e9), "crop": (8, 4096), "windows": (1, 4096),
        "noise_weight": (0, LARGE),
    }  # fmt: skip


def _method(denoiser: Denoiser, h: Noise2NoiseTDHyperparameters, _: Mapping[str, str]) -> NeighbouringProjections:
    return NeighbouringProjections(denoiser, h.photons, h.crop, h.windows, h.noise_weight)


RECIPE = DenoiserRecipe(
    paper="Zainulina et al., Self-supervised physics-based denoising for computed tomography, arXiv 2211.00745, 2022",
    network=default_denoiser("noise2noise_td").network,
    method=_method,
    scale=default_denoiser("noise2noise_td").scale,
    # Adam with 1e-4, batches of 16 windows of 64 x 64 and 100,000 steps are those of the authors' release. Windows are
    # cut from the projections of slices of nearly 512 pixels; nothing is augmented that needs full dose.
    hyperparameters=Noise2NoiseTDHyperparameters(
        steps=100_000, batch=2, patch=480, learning_rate=1e-4, final_learning_rate=1e-6, beta1=0.9, beta2=0.999,
        weight_decay=0.0, clip=LARGE, gain_low=1.0, gain_high=1.0, kernel_conversion_share=0.0,
    ),
    accepts_any_network=True,
)  # fmt: skip
