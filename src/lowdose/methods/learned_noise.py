"""Training of a noise model on patches of noise: as a variational autoencoder, and against a critic.

Both have a term of their own beside the published ones: the likelihood of the patches by the power of the samples in
bands of frequency and direction. A variational autoencoder alone reconstructs well, but its samples are all that is
wanted of a noise model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from lowdose.batch import NoiseBatch
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.networks.full_precision import full_precision
from lowdose.networks.noise_vae import NoiseDecoder, NoiseVAE
from lowdose.objectives.latent_normal import kl_to_standard_normal
from lowdose.objectives.noise_bands import NoiseBands, whittle
from lowdose.objectives.wasserstein import gradient_penalty, mixing_weights
from lowdose.sample_draws import normal_draws

SAMPLED, ENCODED = 0, 1
"""Streams of white noise: of samples, and around what the encoder finds."""


class SampledPower(nn.Module):
    """Likelihood of patches by the power of samples.

    Given the place, the power of a sample is the sum of those of its components, times the squares of their gains; the
    power of each component is measured on samples of the whole batch.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.bands = NoiseBands(side)

    def forward(self, decoder: NoiseDecoder, white: Tensor, batch: NoiseBatch) -> Tensor:
        """Return ``noise_bands.whittle``; white: (B, components, H + 2 margin, W + 2 margin)."""
        gains = decoder.gains(batch.conditions)[..., 0, 0] / decoder.sd
        expected = gains.square() @ self.bands(decoder.fields(white)).mean(dim=0)
        return whittle(expected, self.bands(batch.noise[:, 0] / decoder.sd))


def white_noise(decoder: NoiseDecoder, batch: NoiseBatch, stream: int) -> Tensor:
    """Return the white noise of each sample of a batch, which depends on its number alone."""
    height, width = (side + 2 * decoder.margin for side in batch.noise.shape[-2:])
    return normal_draws(batch.number, (decoder.settings.components, height, width), stream)


class VariationalNoise(Method[NoiseBatch]):
    """Training of a noise model as a conditional variational autoencoder (Kingma and Welling, ICLR 2014).

    Parameters
    ----------
    network : NoiseVAE
        Encoder and decoder.
    side : int, pixels
        Height and width of the patches.
    likelihood_sd : float
        Standard deviation of a pixel about its reconstruction, as a share of that of the noise.
    power_weight : float
        Weight of the likelihood by the power of samples; 0 = not computed.
    """

    def __init__(self, network: NoiseVAE, side: int, likelihood_sd: float, power_weight: float) -> None:
        super().__init__()
        self.network, self.likelihood_sd, self.power_weight = network, likelihood_sd, power_weight
        self.power = SampledPower(side)

    @property
    def model(self) -> nn.Module:
        """Encoder and decoder."""
        return self.network

    @property
    def decoder(self) -> NoiseDecoder:
        """What makes noise."""
        return self.network.decoder

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return both under the name 'noise'."""
        return {"noise": self.network}

    def updates(self, batch: NoiseBatch) -> Iterator[Update]:
        """Yield one update: minus the evidence lower bound for each pixel, and the likelihood by power."""
        with full_precision(batch.noise):
            white = white_noise(self.decoder, batch, ENCODED)
            found, mean, log_variance = self.network(batch.noise, batch.conditions, white)
            error = (found - batch.noise) / (self.decoder.sd * self.likelihood_sd)
            terms = {
                "reconstruction": error.square().mean() / 2,
                "kl": kl_to_standard_normal(mean, log_variance) / batch.noise[0].numel(),
            }
            if self.power_weight:
                sampled = white_noise(self.decoder, batch, SAMPLED)
                terms["power"] = self.power_weight * self.power(self.decoder, sampled, batch)
        yield Update("noise", terms)


class AdversarialNoise(Method[NoiseBatch]):
    """Training of a noise model's decoder against a critic that knows the place (WGAN-GP).

    Parameters
    ----------
    decoder : NoiseDecoder
        What makes noise.
    critic : nn.Module
        Maps noise in units of its standard deviation with its conditions, (B, 1 + conditions, H, W), to scores (B, 1).
    side : int, pixels
        Height and width of the patches.
    power_weight : float
        Weight of the likelihood by the power of samples, that of the critic's score being 1; 0 = not computed.
    penalty : float
        Weight of the gradient penalty.
    critic_turns : int
        Turns of the critic for each of the decoder.
    """

    turn: Tensor

    def __init__(
        self, decoder: NoiseDecoder, critic: nn.Module, side: int, power_weight: float, penalty: float,
        critic_turns: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.decoder, self.critic, self.power = decoder, critic, SampledPower(side)
        self.power_weight, self.penalty, self.critic_turns = power_weight, penalty, critic_turns
        self.register_buffer("turn", torch.tensor(0))

    @property
    def model(self) -> nn.Module:
        """What makes noise."""
        return self.decoder

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the decoder and the critic by name."""
        return {"noise": self.decoder, "critic": self.critic}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return the critic's: Adam at a rate and with betas that suit a critic."""
        return {"critic": OptimiserSettings("adam", 3e-4, betas=(0.5, 0.9))}

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return the critic."""
        return {"critic": self.critic}

    def updates(self, batch: NoiseBatch) -> Iterator[Update]:
        """Yield an update of the critic and, in every ``critic_turns``-th step, one of the decoder."""
        self.turn += 1
        white = white_noise(self.decoder, batch, SAMPLED)
        real = batch.noise / self.decoder.sd
        judge = partial(self._scores, batch.conditions)
        with full_precision(real):
            with torch.no_grad():
                fake = self.decoder(white, batch.conditions) / self.decoder.sd
            penalty = gradient_penalty(judge, real, fake, mixing_weights(batch.number))
            distance = judge(fake).mean() - judge(real).mean()
        yield Update("critic", {"wasserstein": distance, "penalty": self.penalty * penalty})
        if int(self.turn) % self.critic_turns == 0:
            with full_precision(real):
                fake = self.decoder(white, batch.conditions) / self.decoder.sd
                terms = {"adversarial": -judge(fake).mean()}
                if self.power_weight:
                    terms["power"] = self.power_weight * self.power(self.decoder, white, batch)
            yield Update("noise", terms)

    def _scores(self, conditions: Tensor, noise: Tensor) -> Tensor:
        seen = self.decoder.relative(conditions).expand(-1, -1, *noise.shape[-2:])
        scores: Tensor = self.critic(torch.cat([noise, seen], dim=1))
        return scores
