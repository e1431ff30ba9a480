"""MSE and perceptual loss (Johnson et al. 2016), as the baseline of LEDA (Chen et al. 2024, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.supervised import Supervised
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.perceptual import perceptual_with
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, supervised


@dataclass(frozen=True)
class PerceptualHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of a denoiser's training with MSE and the perceptual loss.

    Attributes
    ----------
    perceptual_weight : float
        Weight of the perceptual loss. The LEDA paper does not state it. With the default, both losses pull as hard
        at the output of a denoiser that was trained with mean squared error: with the weight 1, the gradient of this
        loss (maps of the anatomy network) was 1,430 times as large there for ``fast`` and 1,270 times for a small
        RED-CNN (medians over 43 validation slices, quartiles from 640 to 2,520;
        ``experiments/leaderboard/gradient_strength.py``). Other features want another weight.
    """

    perceptual_weight: float = 7e-4

    LIMITS: ClassVar[Limits] = {**DenoiserHyperparameters.LIMITS, "perceptual_weight": (0, LARGE)}


def _method(denoiser: Denoiser, hyperparameters: PerceptualHyperparameters, teachers: Mapping[str, str]) -> Supervised:
    """Make supervised training with MSE and the perceptual loss.

    teachers: the features as in ``objectives.perceptual.perceptual_with``. With the weight 0, they are not computed, so
    that training is bit-identical to that with MSE alone.
    """
    if hyperparameters.perceptual_weight == 0:
        return Supervised(denoiser, MSE())
    perceptual = hyperparameters.perceptual_weight * perceptual_with(teachers["features"])
    return supervised(denoiser, MSE() + perceptual, hyperparameters.patch)


RECIPE = DenoiserRecipe(
    paper="Johnson et al., Perceptual losses, ECCV 2016; Chen et al., LEDA, arXiv 2403.06128 (as a baseline)",
    network=default_denoiser("red_cnn").network,
    method=_method,
    scale=default_denoiser("red_cnn").scale,
    # As in the recipe leda, with which this one is to be compared.
    hyperparameters=PerceptualHyperparameters(
        steps=100_000, batch=4, patch=128, learning_rate=1e-4, final_learning_rate=1e-6
    ),
    teachers={"features": "anatomy"},
    accepts_any_network=True,
)
