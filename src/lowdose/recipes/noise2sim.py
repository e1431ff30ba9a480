"""Noise2Sim (Niu et al. 2022): low-dose series alone; each slice is to become like its neighbours, where they agree.

    lowdose train noise2sim --pairing none --data LOW --out RUN

Nothing else is read. With pairs, only their low dose is trained on, and full dose serves for validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.similar_slices import SimilarSlices
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, SMALL, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@dataclass(frozen=True)
class Noise2SimHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the training towards neighbouring slices.

    Attributes
    ----------
    similar_weight : float
        Factor on the mean absolute error.
    """

    similar_weight: float = 10.0

    LIMITS: ClassVar[Limits] = {**DenoiserHyperparameters.LIMITS, "similar_weight": (SMALL, LARGE)}


def _method(denoiser: Denoiser, h: Noise2SimHyperparameters, _: Mapping[str, str]) -> SimilarSlices:
    return SimilarSlices(denoiser, h.similar_weight)


RECIPE = DenoiserRecipe(
    paper="Niu et al., Noise suppression with similarity-based self-supervised deep learning, IEEE TMI 2022",
    network=NetworkSpec("unet", {**default_denoiser("unet").network.settings, "width": 96, "levels": 3}),
    method=_method,
    scale=default_denoiser("unet").scale,
    # As in the authors' release: a residual U-Net of 96, 192 and 384 channels, though without batch normalisation;
    # Adam (0.1, 0.99) with 5e-4, a tenth of the steps to warm up, then a cosine; batches of 32. Its crops are whole
    # slices; the size of patches and the number of steps are the project's. Nothing is augmented that needs full dose.
    hyperparameters=Noise2SimHyperparameters(
        steps=20_000, batch=32, patch=128, learning_rate=5e-4, final_learning_rate=1e-6, warmup=2000, beta1=0.1,
        beta2=0.99, weight_decay=0.0, clip=LARGE, gain_low=1.0, gain_high=1.0, kernel_conversion_share=0.0,
    ),
    accepts_any_network=True,
)  # fmt: skip
