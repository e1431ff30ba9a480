"""Recipe of a noise model, with the hyperparameters that the command line can change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from lowdose.errors import InvalidSetting
from lowdose.methods.learned_noise import AdversarialNoise, VariationalNoise
from lowdose.networks.critic import patch_critic
from lowdose.networks.noise_vae import NoiseDecoder, NoiseSettings, NoiseVAE, TrainingNoise
from lowdose.training.hyperparameters import LARGE, SMALL, Hyperparameters, Limits
from lowdose.training.learned_noise.conditions import CONDITIONS
from lowdose.training.learned_noise.flat_patches import SIDE

NoiseMethod = VariationalNoise | AdversarialNoise

NOISE_SHARE = 0.25
"""Share of the time in which the noise is learned, where a denoiser is trained with it in the same call."""


@dataclass(frozen=True)
class NoiseHyperparameters(Hyperparameters):
    """Hyperparameters of a noise model's training.

    Attributes
    ----------
    slices : int
        Most slices that noise is taken from, evenly spaced; 0 = all.
    held_out_share : float
        Share of these slices, evenly spaced, that are held out for validation.
    components : int
        Filters of the decoder.
    filter_side : int, pixels
        Their height and width, an odd number.
    power_weight : float
        Weight of the likelihood by the power of samples (``objectives.noise_bands``); 0 = not computed.
    likelihood_sd : float
        Standard deviation of a pixel about what a variational autoencoder reconstructs, as a share of that of the
        noise.
    critic_turns : int
        Turns of the critic of an adversarial training for each of the decoder.
    critic_width : int
        Channels of its first layer.
    penalty : float
        Weight of its gradient penalty.
    """

    slices: int = 200
    held_out_share: float = 0.1
    components: int = 6
    filter_side: int = 15
    power_weight: float = 10.0
    likelihood_sd: float = 0.2
    critic_turns: int = 3
    critic_width: int = 16
    penalty: float = 10.0

    LIMITS: ClassVar[Limits] = {
        **Hyperparameters.LIMITS,
        "slices": (0, LARGE),
        "held_out_share": (0, 0.9),
        "components": (1, 64),
        "filter_side": (3, 63),
        **dict.fromkeys(("power_weight", "penalty"), (0, LARGE)),
        "likelihood_sd": (SMALL, 1),
        "critic_turns": (1, LARGE),
        "critic_width": (1, 512),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filter_side % 2 == 0:
            raise InvalidSetting(f"filter_side={self.filter_side}: must be odd, so that a filter has a middle")

    @property
    def settings(self) -> NoiseSettings:
        """Sizes of the model."""
        return NoiseSettings(self.components, self.filter_side, CONDITIONS)


@dataclass(frozen=True)
class NoiseRecipe:
    """How a noise model is trained.

    Attributes
    ----------
    paper : str
        The publication that the recipe follows.
    adversarial : bool
        Whether samples are judged by a critic, instead of an encoder that finds what noise was made of.
    hyperparameters : NoiseHyperparameters
        Default hyperparameters, which the command line can change.
    """

    paper: str
    adversarial: bool = False
    hyperparameters: NoiseHyperparameters = field(default_factory=NoiseHyperparameters)

    def method(self, trained_on: TrainingNoise) -> NoiseMethod:
        """Make the training method of an untrained model."""
        h = self.hyperparameters
        if not self.adversarial:
            return VariationalNoise(NoiseVAE(h.settings, trained_on), SIDE, h.likelihood_sd, h.power_weight)
        critic = patch_critic(SIDE, h.critic_width, 1 + CONDITIONS)
        return AdversarialNoise(
            NoiseDecoder(h.settings, trained_on), critic, SIDE, h.power_weight, h.penalty, h.critic_turns
        )
