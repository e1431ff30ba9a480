"""Training of LEDA's autoencoder (Chen et al. 2024, Eq. 2).

Its loss has five terms: reconstruction, commitment, adversarial, perceptual and semantic. Three more are this project's
own, and make the latents see the texture of noise (docs/leda.md); their weights are 0 in the paper's training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import CandidateTokenBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.autoencoder_weights import Weights
from lowdose.methods.base import Method, Update
from lowdose.methods.latent_spread import FLOOR, LatentMoments, match_moments
from lowdose.methods.token_use import TokenUsage
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.discriminator import adaptive_weight, hinge
from lowdose.networks.pyramid_quantiser import Quantised
from lowdose.objectives.base import Objective
from lowdose.objectives.local_texture import LocalTexture
from lowdose.objectives.noise_invariance import noise_realisation_ratio
from lowdose.objectives.token_entropy import unused_entropy

ENTROPY_SHARPNESS = 4.0
"""Sharpness of ``unused_entropy`` as a multiple of that of Eq. 1: with 1, latents between tokens seemed to use them all
(36 tokens in use in the body after 750 steps, and 1,000 with 4)."""
BODY = 0.05
"""Mean of a cell of the latents, in the unit of objectives, above which it counts as body: -850 HU."""
SEEING_FLOOR = 1e-2
"""Smallest variance of latents, as a share of the largest, that ``match_moments`` brings to that of the words, where
latents see noise: on axes of less variance lies what is left of its realisation."""


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
        self.perceptual, self.weights, self.texture = perceptual, weights, LocalTexture()
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

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return the discriminator, with which another training can start."""
        return {"discriminator": self.discriminator}

    def extra_metrics(self) -> Mapping[str, float]:
        """Return how many tokens are in use and how well images are reconstructed.

        Raises TrainingDiverged when the training has collapsed.
        """
        return self.use.extra_metrics()

    def updates(self, batch: CandidateTokenBatch) -> Iterator[Update]:
        """Yield an update of the autoencoder and, from ``adversarial_start`` on, one of the discriminator.

        During the first ``soft_steps`` steps the autoencoder is trained without quantisation. Of a batch with noise the
        slice with the first realisation is reconstructed, to its texture but otherwise without the noise.
        """
        smooth, *noisy = _images(batch)
        step, soft_steps = int(self.spread.steps), self.weights.soft_steps
        self.spread.steps += 1
        first_quantised = step == soft_steps > 0
        if first_quantised:
            self._match_words()
        latents, organs = self._encode([smooth, *noisy], batch.organs)
        if step < soft_steps:
            yield Update("autoencoder", self._unquantised_terms(smooth, noisy, latents, step) | organs)
            return
        seen = noisy[0] if noisy else smooth
        guided = self.weights.semantic > 0 and not self.autoencoder.quantiser.learned
        quantised = self.autoencoder.quantise(latents[bool(noisy)], batch.pools() if guided else None)
        reconstruction = self.autoencoder.decode(quantised.embedding, step)
        adversarial = step >= self.weights.adversarial_start and self.weights.adversarial > 0
        terms = self.terms(smooth, reconstruction, quantised, adversarial, seen) | organs
        if self.weights.invariance and noisy:
            terms |= self._invariance_terms(latents, quantised)
        if self.weights.entropy:
            terms |= self._entropy_term(latents[bool(noisy)], seen)
        yield Update("autoencoder", terms, reset_optimiser=first_quantised)
        self.use.add(quantised.indices, smooth, reconstruction.detach(), quantised.semantic)
        if adversarial:
            real, fake = self.discriminator(seen), self.discriminator(reconstruction.detach())
            yield Update("discriminator", {"hinge": hinge(real, fake)})

    def _encode(self, images: Sequence[Tensor], shares: Tensor) -> tuple[Sequence[Tensor], dict[str, Tensor]]:
        """Return the latents of each image, and the term of their organs, with the ``shares`` of a batch."""
        joined, count = torch.cat(list(images)), len(images[0])
        if not (self.weights.organs and shares.numel()):
            return torch.split(self.autoencoder.encode(joined), count), {}
        latents, logits = self.autoencoder.encode_with_organs(joined)
        entropy = -(shares.repeat(len(images), 1, 1, 1) * functional.log_softmax(logits.float(), 1)).sum(1).mean()
        return torch.split(latents, count), {"organs": self.weights.organs * entropy}

    def _match_words(self) -> None:
        """Give the latents the moments of the words."""
        network, floor = self.autoencoder, SEEING_FLOOR if self.weights.invariance else FLOOR[0]
        match_moments(network.to_words, network.from_words, self.spread, network.codebook, network.unit, floor)

    def _unquantised_terms(
        self, smooth: Tensor, noisy: Sequence[Tensor], latents: Sequence[Tensor], step: int
    ) -> dict[str, Tensor]:
        """Return the terms of autoencoding without quantisation; half of the steps add the latents to ``spread``."""
        if step >= self.weights.soft_steps // 2:
            self.spread.add(latents[bool(noisy)].detach())
        reconstruction = self.autoencoder.decode(latents[bool(noisy)], step)
        terms = self._fidelity_terms(smooth, reconstruction, noisy[0] if noisy else smooth)
        if self.weights.invariance and noisy:
            terms["invariance"] = self._invariance(latents, self.weights.margin)
        return terms

    def _fidelity_terms(self, image: Tensor, reconstruction: Tensor, seen: Tensor) -> dict[str, Tensor]:
        weights = self.weights
        terms = {"reconstruction": weights.image * (reconstruction - image).square().mean()}
        if weights.window:
            pairs = zip(self.autoencoder.windowed(reconstruction), self.autoencoder.windowed(image), strict=True)
            terms["window"] = weights.window * torch.stack([(a - b).square().mean() for a, b in pairs]).mean()
        if weights.texture:
            terms["texture"] = weights.texture * self.texture(reconstruction, seen)
        if weights.perceptual:
            terms["perceptual"] = weights.perceptual * self.perceptual(reconstruction, seen)
        return terms

    def _entropy_term(self, latents: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """Return the term of the latents that are not on air, if there are any."""
        network = self.autoencoder
        in_body = functional.avg_pool2d(seen, network.stride) > BODY
        chosen = latents.movedim(1, -1)[in_body[:, 0]]
        if not len(chosen):
            return {}
        sharpness = ENTROPY_SHARPNESS * network.sharpness
        return {"entropy": self.weights.entropy * unused_entropy(chosen, network.codebook, sharpness)}

    def _invariance_terms(self, latents: Sequence[Tensor], first: Quantised) -> dict[str, Tensor]:
        """Return the terms of latents and of token embeddings; first: of the first realisation."""
        smooth, second = self.autoencoder.quantise(torch.cat([latents[0], latents[2]])).embedding.chunk(2)
        return {
            "invariance": self._invariance(latents, self.weights.margin),
            "token_invariance": self._invariance((smooth, first.embedding, second), self.weights.token_margin),
        }

    def _invariance(self, features: Sequence[Tensor], margin: float) -> Tensor:
        smooth, first, second = features
        return self.weights.invariance * functional.relu(noise_realisation_ratio(smooth, first, second) - margin)

    def terms(
        self, image: Tensor, reconstruction: Tensor, quantised: Quantised, adversarial: bool, seen: Tensor
    ) -> dict[str, Tensor]:
        """Return every weighted term of Eq. 2 by name, the adversarial one only if ``adversarial``.

        image: what is to be reconstructed; seen: the same with the noise that was encoded.
        """
        weights = self.weights
        terms = self._fidelity_terms(image, reconstruction, seen)
        fidelity = torch.stack(list(terms.values())).sum()
        unit = 1.0 if weights.balanced else self.autoencoder.unit
        terms["commitment"] = weights.commitment * quantised.commitment.sum() / unit**2
        if quantised.codebook is not None:
            terms["codebook"] = quantised.codebook.sum()
        if adversarial:
            generator_loss = -self.discriminator(reconstruction).float().mean()
            balance = adaptive_weight(fidelity, generator_loss, self._last_layer_weight())
            terms["adversarial"] = weights.adversarial * balance * generator_loss
        if quantised.semantic is not None:
            omega = semantic_weight(terms, quantised.semantic) if weights.balanced else 1.0
            terms["semantic"] = weights.semantic * omega * quantised.semantic
        return terms

    def _last_layer_weight(self) -> Tensor:
        return [part.weight for part in self.autoencoder.decoder.modules() if isinstance(part, nn.Conv2d)][-1]


def _images(batch: CandidateTokenBatch) -> list[Tensor]:
    """Return the slices (B, 1, H, W) in the unit of objectives; with noise, also those with each realisation."""
    slices = [batch.hu]
    if batch.noise.numel():
        slices += [batch.hu + noise for noise in torch.split(batch.noise, 1, dim=1)]
    return [OBJECTIVE.encode(hu.clamp(OBJECTIVE.low, OBJECTIVE.high)) for hu in slices]


def semantic_weight(terms: Mapping[str, Tensor], semantic: Tensor) -> Tensor:
    """Return omega of Eq. 2, L_VQGAN / L_semantic as a constant, which scales the semantic loss to L_VQGAN.

    A discriminator that is fooled lowers L_VQGAN. Should it fall below zero, the semantic loss would be maximised:
    omega is 0 then.
    """
    total = torch.stack([term.detach() for term in terms.values()]).sum()
    return total.clamp(min=0.0) / semantic.detach().clamp(min=torch.finfo(semantic.dtype).tiny)
