"""LEDA (Chen et al. 2024): any denoiser, trained with MSE and a loss in the spaces of a language-guided autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lowdose.errors import InvalidSetting
from lowdose.evaluation.digital_texture import digital_texture
from lowdose.evaluation.noise_sensitivity import blindness
from lowdose.language import autoencoder_file
from lowdose.methods.base import Method
from lowdose.methods.supervised import Supervised
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.leda import Leda
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe, supervised


@dataclass(frozen=True)
class LedaHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of a denoiser's training with the LEDA loss.

    Attributes
    ----------
    leda_weight : float
        lambda of Eq. 3, the weight of the LEDA loss.
    continuous, discrete : float
        Weights of its two terms; 0 switches a term off.
    """

    leda_weight: float = 0.5
    continuous: float = 1.0
    discrete: float = 1.0

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("leda_weight", "continuous", "discrete"), (0, LARGE)),
    }


def _method(denoiser: Denoiser, hyperparameters: LedaHyperparameters, teachers: Mapping[str, str]) -> Supervised:
    """Make supervised training with MSE and the LEDA loss.

    With the weight 0, LEDA is not computed at all, so that training is bit-identical to that with MSE alone.
    """
    if hyperparameters.leda_weight == 0:
        return Supervised(denoiser, MSE())
    loaded = autoencoder_file.load_autoencoder(teachers["autoencoder"])
    leda = Leda(loaded.autoencoder, hyperparameters.continuous, hyperparameters.discrete, loaded.sha256)
    return supervised(denoiser, MSE() + hyperparameters.leda_weight * leda, hyperparameters.patch)


def _remarks(method: Method[Any], teachers: Mapping[str, str]) -> Sequence[str]:
    """Return what the teacher sees of noise, and a warning of one that can only teach smoothness."""
    name = teachers["autoencoder"]
    leda = next((part for part in method.modules() if isinstance(part, Leda)), None)
    if leda is None:  # its weight is 0
        return ()
    try:
        seen = digital_texture(leda.autoencoder)
    except InvalidSetting as error:
        return (f"warning: autoencoder '{name}': {error}",)
    (share, of_tokens), ratio = seen.systematic_share, seen.noise_distance_ratio[0]
    facts = f"autoencoder '{name}' on a digital slice: B = {share:.2f} (tokens {of_tokens:.2f}), D = {ratio:.2f}"
    warning = blindness(name, share)
    return (facts, f"warning: {warning}; see 'lowdose evaluate --task teacher'") if warning else (facts,)


RECIPE = DenoiserRecipe(
    paper="Chen et al., Low-dose CT denoising with language-engaged dual-space alignment, arXiv 2403.06128",
    network=default_denoiser("red_cnn").network,
    method=_method,
    scale=default_denoiser("red_cnn").scale,
    # From the paper: AdamW (0.9, 0.99), weight decay 1e-9, and a learning rate from 1e-4 to 1e-6 by a cosine. The paper
    # trains on whole slices of 512 x 512; here 'patch' is limited to 496 for these, since augmentation needs a margin.
    # The paper states neither the number of steps nor the batch size.
    hyperparameters=LedaHyperparameters(
        steps=100_000, batch=4, patch=128, learning_rate=1e-4, final_learning_rate=1e-6
    ),
    teachers={"autoencoder": autoencoder_file.TEACHER},
    accepts_any_network=True,
    remarks=_remarks,
)
