"""Recipe of the shipped denoiser: noise-free images learned from noisy targets, over all doses and kernels at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.supervised import NoiseFree
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.pixel import MSE
from lowdose.objectives.spectrum import NoisePowerSpectrumLoss
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@dataclass(frozen=True)
class NoiseFreeHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of the training towards the noise-free image; a term with the weight 0 is not computed.

    Attributes
    ----------
    spectrum_weight : float
        Weight of ``objectives.spectrum.NoisePowerSpectrumLoss`` between the full-dose estimate, a x + (1 - a) f(x), and
        full dose.
    spectrum_level : float
        Weight of the difference in noise level within that term; 0 compares the texture alone.
    lesion_weight : float
        Weight of the error of the contrast of inserted lesions (``objectives.lesion_contrast``); needs a
        ``lesion_share``. With 1, the mean error over a lesion counts as much as all pixels of a patch with that error.
    """

    spectrum_weight: float = 0.0
    spectrum_level: float = 1.0
    lesion_weight: float = 0.0

    LIMITS: ClassVar[Limits] = {
        **DenoiserHyperparameters.LIMITS,
        **dict.fromkeys(("spectrum_weight", "spectrum_level", "lesion_weight"), (0, LARGE)),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lesion_weight > 0 and self.lesion_share == 0:
            raise InvalidSetting(
                f"lesion_weight={self.lesion_weight:g}: no patch has a lesion with lesion_share=0; take for example "
                "lesion_share=0.3"
            )


def _method(denoiser: Denoiser, hyperparameters: NoiseFreeHyperparameters, _: Mapping[str, str]) -> NoiseFree:
    return NoiseFree(denoiser, MSE(), _texture(hyperparameters), hyperparameters.lesion_weight)


def _texture(hyperparameters: NoiseFreeHyperparameters) -> Objective | None:
    """Return the weighted comparison of noise texture; None where its weight is 0."""
    if hyperparameters.spectrum_weight == 0:
        return None
    spectrum = NoisePowerSpectrumLoss(level=hyperparameters.spectrum_level)
    if hyperparameters.patch < spectrum.smallest:
        raise InvalidSetting(
            f"patch={hyperparameters.patch}: spectrum_weight={hyperparameters.spectrum_weight:g} needs patches of at "
            f"least {spectrum.smallest} pixels; take larger ones, or spectrum_weight=0"
        )
    return hyperparameters.spectrum_weight * spectrum


RECIPE = DenoiserRecipe(
    paper="Moran et al., Noisier2Noise, CVPR 2020, with simulated doses; the project's own weighting",
    network=default_denoiser("shuffle_unet").network,
    method=_method,
    scale=default_denoiser("shuffle_unet").scale,
    hyperparameters=NoiseFreeHyperparameters(
        steps=20_000, batch=8, patch=96, final_learning_rate=1e-5, warmup=200, flux_low=0.7, flux_high=1.0,
        dose_high=0.7, full_dose_share=0.0, kernel_conversion_share=0.3, validate_every=1000, checkpoint_every=500,
    ),
    accepts_any_network=True,
    needs_dose=True,
)  # fmt: skip
