"""Recipe and hyperparameters of the training of LEDA's autoencoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.autoencoder_weights import Weights
from lowdose.networks.vqgan import SIZES
from lowdose.training.hyperparameters import LARGE, SMALL, Hyperparameters, Limits


@dataclass(frozen=True)
class AutoencoderHyperparameters(Hyperparameters):
    """Hyperparameters of an autoencoder's training.

    Attributes
    ----------
    side : int
        Height and width of the training crops, in pixels; 0 = whole slices.
    digital_share : float
        Share of the crops that come from digital patients.
    patients : int
        Number of digital patients.
    validation_patients : int
        Real patients that are held out, the last ones by number.
    layers : int
        Layers of the token pyramid.
    word_length : float
        Root mean square length that the words' embeddings are scaled to; 0 = unscaled. The weights of Eq. 2 are for
        the embedding table of CLIP, which is drawn with a standard deviation of 0.02 in 512 channels.
    sharpness : float
        Factor on the squared distances in the softmax of Eq. 1, see ``networks.autoencoder``.
    learned_tokens : int
        Entries of a codebook that is trained instead of using the words, as in a plain VQGAN; 0 = the words.
    semantic_weight, commitment_weight, adversarial_weight, perceptual_weight : float
        alpha, beta, gamma and eta of Eq. 2, see ``methods.autoencoder_weights.Weights``.
    adversarial_start : int
        Step from which the discriminator is used.
    soft_steps : int
        Steps without quantisation at the beginning.
    discriminator_width : int
        Channels of the discriminator's first layer.
    noisy : int
        1 or 0: whether crops come without noise, real ones by the shipped denoiser, with two realisations of one noise
        to add (``data.labelled.candidate_tokens``). The terms below need it.
    cell_words : int
        1 or 0: whether each position of the two coarse layers has candidate words of its own (``language.cell_words``).
    image_weight, window_weight, texture_weight, invariance_weight, margin, token_margin, entropy_weight, organs_weight,
    balanced
        See ``methods.autoencoder_weights.Weights``.
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
    noisy: int = 0
    cell_words: int = 0
    image_weight: float = 1.0
    window_weight: float = 0.0
    texture_weight: float = 0.0
    invariance_weight: float = 0.0
    margin: float = 0.4
    token_margin: float = 0.6
    entropy_weight: float = 0.0
    organs_weight: float = 0.0
    balanced: int = 1

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
        **{
            f"{name}_weight": (0, LARGE)
            for name in (
                "semantic",
                "commitment",
                "adversarial",
                "perceptual",
                "image",
                "window",
                "texture",
                "invariance",
                "entropy",
                "organs",
            )
        },
        **dict.fromkeys(("margin", "token_margin"), (0, 2)),
        **dict.fromkeys(("noisy", "cell_words", "balanced"), (0, 1)),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.invariance_weight and not self.noisy:
            raise InvalidSetting(
                "invariance_weight: needs realisations of noise; --set noisy=1, or invariance_weight=0"
            )
        if self.cell_words and not self.side:
            raise InvalidSetting("side=0 (whole slices) with cell_words=1: give a side, or --set cell_words=0")

    @property
    def weights(self) -> Weights:
        """Weights of Eq. 2 and the steps at which its parts begin."""
        return Weights(
            self.semantic_weight,
            self.commitment_weight,
            self.adversarial_weight,
            self.perceptual_weight,
            self.adversarial_start,
            self.soft_steps,
            self.image_weight,
            self.window_weight,
            self.texture_weight,
            self.invariance_weight,
            self.margin,
            self.token_margin,
            self.entropy_weight,
            self.organs_weight,
            bool(self.balanced),
        )


@dataclass(frozen=True)
class AutoencoderRecipe:
    """How an autoencoder is trained. Raises InvalidSetting for an unknown size.

    Attributes
    ----------
    paper : str
        The publication that the recipe follows.
    size : str
        A size of ``networks.vqgan.SIZES``.
    features : str
        Feature network of the perceptual loss, by its name in ``networks.features.registry``.
    hyperparameters : AutoencoderHyperparameters
        Default hyperparameters, which the command line can change.
    published : AutoencoderHyperparameters or None
        Defaults of all other sizes than ``size``, without terms that the publication does not have; None = the same.
    """

    paper: str
    size: str = "small"
    features: str = "anatomy"
    hyperparameters: AutoencoderHyperparameters = field(default_factory=AutoencoderHyperparameters)
    published: AutoencoderHyperparameters | None = None

    @property
    def teachers(self) -> dict[str, str]:
        """Frozen networks that the training looks with: name by kind, see ``training.teachers``."""
        return {"features": self.features}

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise InvalidSetting(f"--size {self.size}: choose one of {', '.join(SIZES)}")

    def of_size(self, size: str | None) -> AutoencoderRecipe:
        """Return the recipe for another size, with the defaults of that size; None = this one."""
        if size is None or size == self.size:
            return self
        return replace(self, size=size, hyperparameters=self.published or self.hyperparameters)
