"""Training LEDA's autoencoder (Chen et al. 2024, Eq. 2): reconstruction, commitment, adversary, perception, meaning."""

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
    """alpha, beta, gamma, eta of Eq. 2, and the step from which the adversary plays.

    The paper prints its third weight as lambda; as gamma it fits the equation. It gives no step. soft_steps: of plain
    autoencoding before the first word is looked up; ours. The latents are then spread as the words are
    (``latent_spread.match_moments``). Started on words, all positions soon share one token: a decoder that has learned nothing
    tells the encoder nothing, and the commitment is left alone to decide.
    """

    semantic: float = 0.3
    commitment: float = 0.3
    adversarial: float = 0.1
    perceptual: float = 0.1
    adversarial_start: int = 0
    soft_steps: int = 0


class GuidedAutoencoder(Method[CandidateTokenBatch]):
    """An autoencoder against a discriminator. perceptual: an objective that compares features.

    With a learned codebook, a plain VQGAN's, its own loss joins, and there are no candidate words.
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
        return self.autoencoder

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "discriminator": self.discriminator}

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        return {**self.trained_modules(), "use": self.use, "spread": self.spread}

    def extra_metrics(self) -> Mapping[str, float]:
        """Tokens in use and how well images come back; raises TrainingDiverged when the run has collapsed."""
        return self.use.extra_metrics()

    def updates(self, batch: CandidateTokenBatch) -> Iterator[Update]:
        image = OBJECTIVE.encode(batch.hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
        step, soft = int(self.spread.steps), self.weights.soft_steps
        self.spread.steps += 1
        if step < soft:
            yield Update("autoencoder", self._plain(image, late=step >= soft // 2))
            return
        turned = step == soft > 0
        if turned:
            match_moments(
                self.autoencoder.to_words, self.autoencoder.from_words, self.spread, self.autoencoder.codebook
            )
        worded = self.weights.semantic > 0 and not self.autoencoder.quantiser.learned
        made, found = self.autoencoder(image, batch.pools() if worded else None)
        plays = step >= self.weights.adversarial_start and self.weights.adversarial > 0
        yield Update("autoencoder", self.terms(image, made, found, plays), reset_optimiser=turned)
        self.use.add(found.indices, image, made.detach(), found.semantic)
        if plays:
            yield Update(
                "discriminator", {"hinge": hinge(self.discriminator(image), self.discriminator(made.detach()))}
            )

    def _plain(self, image: Tensor, late: bool) -> dict[str, Tensor]:
        """Terms of autoencoding without words; the latents of late steps are kept in mind."""
        latents = self.autoencoder.encode(image)
        if late:
            self.spread.add(latents.detach())
        return self._fidelity(image, self.autoencoder.decode(latents))

    def _fidelity(self, image: Tensor, made: Tensor) -> dict[str, Tensor]:
        terms = {"reconstruction": (made - image).square().mean()}
        if self.weights.perceptual:
            terms["perceptual"] = self.weights.perceptual * self.perceptual(made, image)
        return terms

    def terms(self, image: Tensor, made: Tensor, found: Quantised, plays: bool) -> dict[str, Tensor]:
        """Every weighted term of Eq. 2 by name."""
        weights = self.weights
        terms = self._fidelity(image, made)
        faithful = torch.stack(list(terms.values())).sum()
        terms["commitment"] = weights.commitment * found.commitment.sum()
        if found.codebook is not None:
            terms["codebook"] = found.codebook.sum()
        if plays:
            fooled = -self.discriminator(made).float().mean()
            balance = adaptive_weight(faithful, fooled, self._last())
            terms["adversarial"] = weights.adversarial * balance * fooled
        if found.semantic is not None:
            terms["semantic"] = weights.semantic * semantic_weight(terms, found.semantic) * found.semantic
        return terms

    def _last(self) -> Tensor:
        return [part.weight for part in self.autoencoder.decoder.modules() if isinstance(part, nn.Conv2d)][-1]


def semantic_weight(terms: Mapping[str, Tensor], semantic: Tensor) -> Tensor:
    """omega of Eq. 2: L_VQGAN / L_semantic as a constant, so that omega times the second is the first.

    An adversary that is fooled makes L_VQGAN smaller; should it fall below zero, meaning would be unlearned: 0 then.
    """
    total = torch.stack([term.detach() for term in terms.values()]).sum()
    return total.clamp(min=0.0) / semantic.detach().clamp(min=torch.finfo(semantic.dtype).tiny)
