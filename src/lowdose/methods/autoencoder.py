"""Training of LEDA's autoencoder (Chen et al. 2024, Eq. 2).

Its loss has five terms: reconstruction, commitment, adversarial, perceptual and semantic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lowdose.batch import CandidateTokenBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.latent_spread import LatentMoments, match_moments
from lowdose.methods.token_use import TokenUsage
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.discriminator import adaptive_weight, hinge
from lowdose.networks.pyramid_quantiser import Quantised
from lowdose.objectives.base import Objective


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms of Eq. 2, and the steps at which its parts begin.

    Attributes
    ----------
    semantic : float
        alpha of Eq. 2.
    commitment : float
        beta of Eq. 2.
    adversarial : float
        gamma of Eq. 2. The paper prints its third weight as lambda; as gamma it fits the equation.
    perceptual : float
        eta of Eq. 2.
    adversarial_start : int
        Step from which the discriminator is used. The paper gives none.
    soft_steps : int
        Steps of plain autoencoding, without quantisation, at the beginning; not part of the paper. The latents are then
        given the moments of the codebook's embeddings (``latent_spread.match_moments``). If training began with
        quantisation, all positions would soon share one token: a decoder that has learned nothing passes no useful
        gradient to the encoder, so that the commitment term alone decides.
    """

    semantic: float = 0.3
    commitment: float = 0.3
    adversarial: float = 0.1
    perceptual: float = 0.1
    adversarial_start: int = 0
    soft_steps: int = 0


class GuidedAutoencoder(Method[CandidateTokenBatch]):
    """Training of the language-guided autoencoder together with a discriminator.

    ``perceptual`` is an objective that compares feature maps. With a learned codebook, as of a plain VQGAN, the
    codebook loss is added and there is no semantic term.
    """

    def __init__(
        self, autoencoder: Autoencoder, discriminator: nn.Module, perceptual: Objective, weights: Weights
    ) -> None:
        super().__init__()
        self.autoencoder, self.discriminator = autoencoder, discriminator
        self.perceptual, self.weights = perceptual, weights
        quantiser = autoencoder.quantiser
        words, channels = quantiser.codebook.shape
        self.use, self.spread = TokenUsage(words, len(quantiser.parts)), LatentMoments(channels)

    @property
    def model(self) -> nn.Module:
        """The autoencoder."""
        return self.autoencoder

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the autoencoder and the discriminator by name."""
        return {"autoencoder": self.autoencoder, "discriminator": self.discriminator}

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """Return the trained modules, the statistics of tokens ('use') and the moments of latents ('spread')."""
        return {**self.trained_modules(), "use": self.use, "spread": self.spread}

    def extra_metrics(self) -> Mapping[str, float]:
        """Return how many tokens are in use and how well images are reconstructed.

        Raises TrainingDiverged when the training has collapsed.
        """
        return self.use.extra_metrics()

    def updates(self, batch: CandidateTokenBatch) -> Iterator[Update]:
        """Yield an update of the autoencoder and, from ``adversarial_start`` on, one of the discriminator.

        During the first ``soft_steps`` steps the autoencoder is trained without quantisation.
        """
        image = OBJECTIVE.encode(batch.hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
        step, soft_steps = int(self.spread.steps), self.weights.soft_steps
        self.spread.steps += 1
        if step < soft_steps:
            yield Update("autoencoder", self._unquantised_terms(image, add_moments=step >= soft_steps // 2))
            return
        first_quantised = step == soft_steps > 0
        if first_quantised:
            match_moments(
                self.autoencoder.to_words, self.autoencoder.from_words, self.spread, self.autoencoder.codebook
            )
        guided = self.weights.semantic > 0 and not self.autoencoder.quantiser.learned
        reconstruction, quantised = self.autoencoder(image, batch.pools() if guided else None)
        adversarial = step >= self.weights.adversarial_start and self.weights.adversarial > 0
        yield Update(
            "autoencoder", self.terms(image, reconstruction, quantised, adversarial), reset_optimiser=first_quantised
        )
        self.use.add(quantised.indices, image, reconstruction.detach(), quantised.semantic)
        if adversarial:
            real, fake = self.discriminator(image), self.discriminator(reconstruction.detach())
            yield Update("discriminator", {"hinge": hinge(real, fake)})

    def _unquantised_terms(self, image: Tensor, add_moments: bool) -> dict[str, Tensor]:
        """Return the terms of autoencoding without quantisation; ``add_moments`` adds the latents to ``spread``."""
        latents = self.autoencoder.encode(image)
        if add_moments:
            self.spread.add(latents.detach())
        return self._fidelity_terms(image, self.autoencoder.decode(latents))

    def _fidelity_terms(self, image: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        terms = {"reconstruction": (reconstruction - image).square().mean()}
        if self.weights.perceptual:
            terms["perceptual"] = self.weights.perceptual * self.perceptual(reconstruction, image)
        return terms

    def terms(
        self, image: Tensor, reconstruction: Tensor, quantised: Quantised, adversarial: bool
    ) -> dict[str, Tensor]:
        """Return every weighted term of Eq. 2 by name, the adversarial one only if ``adversarial``."""
        weights = self.weights
        terms = self._fidelity_terms(image, reconstruction)
        fidelity = torch.stack(list(terms.values())).sum()
        terms["commitment"] = weights.commitment * quantised.commitment.sum()
        if quantised.codebook is not None:
            terms["codebook"] = quantised.codebook.sum()
        if adversarial:
            generator_loss = -self.discriminator(reconstruction).float().mean()
            balance = adaptive_weight(fidelity, generator_loss, self._last_layer_weight())
            terms["adversarial"] = weights.adversarial * balance * generator_loss
        if quantised.semantic is not None:
            terms["semantic"] = weights.semantic * semantic_weight(terms, quantised.semantic) * quantised.semantic
        return terms

    def _last_layer_weight(self) -> Tensor:
        return [part.weight for part in self.autoencoder.decoder.modules() if isinstance(part, nn.Conv2d)][-1]


def semantic_weight(terms: Mapping[str, Tensor], semantic: Tensor) -> Tensor:
    """Return omega of Eq. 2, L_VQGAN / L_semantic as a constant, which scales the semantic loss to L_VQGAN.

    A discriminator that is fooled lowers L_VQGAN. Should it fall below zero, the semantic loss would be maximised:
    omega is 0 then.
    """
    total = torch.stack([term.detach() for term in terms.values()]).sum()
    return total.clamp(min=0.0) / semantic.detach().clamp(min=torch.finfo(semantic.dtype).tiny)
