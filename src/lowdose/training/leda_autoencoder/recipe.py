"""Everything the training of LEDA's autoencoder needs: structure is code, numbers can be set from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.autoencoder import Weights
from lowdose.networks.vqgan import SIZES
from lowdose.training.hyperparameters import LARGE, SMALL, Hyperparameters, Limits


@dataclass(frozen=True)
class AutoencoderHyperparameters(Hyperparameters):
    """The numbers of an autoencoder's training.

    side: of the crops it sees, in pixels; 0 = whole slices. digital_share: of the crops that come from digital
    patients, of which there are ``patients``. validation_patients: real ones to be held out, the last by number.
    layers: of the pyramid. word_length: root mean square length that words are given, 0 = as they are; the weights of
    Eq. 2 are for CLIP's table, which is drawn with an SD of 0.02 in 512 channels. sharpness: of
    ``networks.autoencoder``. learned_tokens: entries of a codebook that is trained instead of the words, as in a plain
    VQGAN; 0 = the words. The weights are alpha, beta, gamma, eta of Eq. 2; adversarial_start: the step from which the
    adversary plays; soft_steps: those before the first word (``methods.autoencoder.Weights``); discriminator_width: of
    its first layer.
    """

    side: int = 256
    digital_share: float = 0.35
    patients: int = 120
    validation_patients: int = 1
    layers: int = 3
    word_length: float = 0.45
    sharpness: float = 15.0
    learned_tokens: int = 0
    semantic_weight: float = 0.3
    commitment_weight: float = 0.3
    adversarial_weight: float = 0.1
    perceptual_weight: float = 0.1
    adversarial_start: int = 12_000
    soft_steps: int = 1000
    discriminator_width: int = 64

    LIMITS: ClassVar[Limits] = {
        **Hyperparameters.LIMITS,
        "side": (0, 4096),
        "digital_share": (0, 1),
        **dict.fromkeys(
            ("patients", "validation_patients", "learned_tokens", "adversarial_start", "soft_steps"), (0, LARGE)
        ),
        "layers": (1, 5),
        "word_length": (0, LARGE),
        "sharpness": (SMALL, LARGE),
        "discriminator_width": (1, 512),
        **{f"{name}_weight": (0, LARGE) for name in ("semantic", "commitment", "adversarial", "perceptual")},
    }

    @property
    def weights(self) -> Weights:
        return Weights(
            self.semantic_weight,
            self.commitment_weight,
            self.adversarial_weight,
            self.perceptual_weight,
            self.adversarial_start,
            self.soft_steps,
        )


@dataclass(frozen=True)
class AutoencoderRecipe:
    """How an autoencoder is trained. size: of ``vqgan.SIZES``; features: of ``networks.features``, for perception."""

    paper: str
    size: str = "small"
    features: str = "anatomy"
    hyperparameters: AutoencoderHyperparameters = field(default_factory=AutoencoderHyperparameters)

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise InvalidSetting(f"--size {self.size}: choose one of {', '.join(SIZES)}")
