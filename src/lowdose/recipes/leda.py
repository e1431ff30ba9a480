"""LEDA (Chen et al. 2024): any denoiser, by MSE and by what a language-guided autoencoder makes of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lowdose.language import autoencoder_file
from lowdose.methods.supervised import Supervised
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.leda import Leda
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import DENOISERS
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, FrozenNetwork, supervised


@dataclass(frozen=True)
class LedaHyperparameters(DenoiserHyperparameters):
    """leda_weight: lambda of Eq. 3. continuous, discrete: weights of its two terms; 0 switches one off."""

    leda_weight: float = 0.5
    continuous: float = 1.0
    discrete: float = 1.0

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("leda_weight", "continuous", "discrete"), (0, LARGE)),
    }


def _method(denoiser: Denoiser, hyperparameters: LedaHyperparameters, autoencoder: str) -> Supervised:
    """With the weight 0 LEDA is not computed at all, so that the training is that of MSE to the last bit."""
    if hyperparameters.leda_weight == 0:
        return Supervised(denoiser, MSE())
    found = autoencoder_file.load_autoencoder(autoencoder)
    leda = Leda(found.autoencoder, hyperparameters.continuous, hyperparameters.discrete, found.sha256)
    return supervised(denoiser, MSE() + hyperparameters.leda_weight * leda, hyperparameters.patch)


RECIPE = DenoiserRecipe(
    paper="Chen et al., Low-dose CT denoising with language-engaged dual-space alignment, arXiv 2403.06128",
    network=DENOISERS["red_cnn"].network,
    method=_method,
    scale=DENOISERS["red_cnn"].scale,
    # AdamW (0.9, 0.99), weight decay 1e-9, 1e-4 -> 1e-6 by a cosine are the paper's. It trains on whole slices of 512:
    # 'patch' goes up to 496 there, since augmentation needs a margin. It does not say how many steps, nor how large a
    # batch: those here are ours.
    hyperparameters=LedaHyperparameters(
        steps=100_000, batch=4, patch=128, learning_rate=1e-4, final_learning_rate=1e-6
    ),
    teacher=FrozenNetwork("autoencoder", autoencoder_file.DEFAULT),
    accepts_any_network=True,
)
