"""MSE and a perceptual loss (Johnson et al. 2016), LEDA's baseline of that name (Chen et al. 2024, section 3.2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from lowdose.methods.supervised import Supervised
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.features.registry import find
from lowdose.objectives.perceptual import Perceptual
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import BACKBONES
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserNumbers, Recipe, Teacher, supervised
from lowdose.weights import files


@dataclass(frozen=True)
class PerceptualNumbers(DenoiserNumbers):
    """perceptual_weight: of the perceptual loss beside MSE. LEDA does not state it; 0.1 is our choice."""

    perceptual_weight: float = 0.1

    LIMITS: ClassVar[Limits] = {**DenoiserNumbers.LIMITS, "perceptual_weight": (0, LARGE)}


def _method(denoiser: Denoiser, numbers: PerceptualNumbers, features: str) -> Supervised:
    """features: 'NAME' of ``networks.features.find``, or 'NAME:WEIGHTS' with a file, folder or hub name.

    With the weight 0 they are not computed at all, so that the training is that of MSE to the last bit.
    """
    if numbers.perceptual_weight == 0:
        return Supervised(denoiser, MSE())
    name, _, given = features.partition(":")
    seen = find(name, given or None)
    source = f"{seen.name} {hashlib.sha256(files.packed(seen, {})).hexdigest()}"
    return supervised(denoiser, MSE() + numbers.perceptual_weight * Perceptual(seen, source), numbers.patch)


RECIPE = Recipe(
    paper="Johnson et al., Perceptual losses, ECCV 2016; Chen et al., LEDA, arXiv 2403.06128 (as a baseline)",
    network=BACKBONES["red_cnn"].network,
    method=_method,
    scale=BACKBONES["red_cnn"].scale,
    # As the recipe leda, with which this is to be compared.
    numbers=PerceptualNumbers(steps=100_000, batch=4, patch=128, learning_rate=1e-4, final_learning_rate=1e-6),
    teacher=Teacher("features", "anatomy"),
    any_network=True,
)
