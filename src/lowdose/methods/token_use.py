"""Which tokens a quantiser uses while it is trained, and whether the training has collapsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lowdose.errors import TrainingDiverged

MEMORY = 0.98
"""Of one step: what is seen lasts for about fifty steps."""

PATIENCE = 400
"""Steps before anything is called a collapse."""

FEWEST = 3.0
"""Perplexity of the finest layer below which nearly all positions share a token or two."""

LEAST_EXPLAINED = 0.5
"""Share of the images' variance that must come back: their mean alone explains none, a blur most of it."""


class TokenUsage(nn.Module):
    """Fading counts of the tokens of each layer, and fading means of Eq. 1 and of what reconstruction explains; saved
    with the run.
    """

    counts: Tensor
    squares: Tensor
    meaning: Tensor
    seen: Tensor

    def __init__(self, words: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(layers, words))
        self.register_buffer("squares", torch.zeros(2))
        self.register_buffer("meaning", torch.zeros(2))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def steps(self) -> int:
        """Batches seen."""
        return int(self.seen)

    @torch.no_grad()
    def add(self, indices: Sequence[Tensor], image: Tensor, made: Tensor, semantic: Tensor | None = None) -> None:
        """indices: of each layer, any shape; image, made: the batch and its reconstruction; semantic: its Eq. 1."""
        words = self.counts.shape[1]
        counts = torch.stack([torch.bincount(index.flatten(), minlength=words) for index in indices])
        self.counts.mul_(MEMORY).add_(counts)
        errors = torch.stack([(made.float() - image).square().mean(), (image - image.mean()).square().mean()])
        self.squares.mul_(MEMORY).add_(errors)
        if semantic is not None:
            self.meaning.mul_(MEMORY).add_(torch.stack([semantic.float(), torch.ones_like(semantic.float())]))
        self.seen.add_(1)

    def extra_metrics(self) -> Mapping[str, float]:
        """Perplexity and tokens in use of each layer, the share of the variance explained, and the mean of Eq. 1 before
        it is weighed (weighed, it is a fixed share of the other terms and tells nothing), by name. Nothing at first.

        Raises TrainingDiverged, with advice, when the tokens or the images have collapsed.
        """
        if not self.steps:
            return {}
        share = self.counts.double() / self.counts.double().sum(1, keepdim=True).clamp(min=1e-12)
        perplexity = torch.exp(-(share * share.clamp(min=1e-30).log()).sum(1))
        told = {"tokens/explained": 1.0 - float(self.squares[0] / self.squares[1].clamp(min=1e-12))}
        for layer, (how_many, counts) in enumerate(zip(perplexity, self.counts, strict=True), start=1):
            told[f"tokens/perplexity_{layer}"] = float(how_many)
            told[f"tokens/in_use_{layer}"] = float((counts >= MEMORY ** (1 / (1 - MEMORY))).sum())
        if self.meaning[1] > 0:
            told["tokens/semantic"] = float(self.meaning[0] / self.meaning[1])
        if self.steps >= PATIENCE:
            self._check(float(perplexity[-1]), told["tokens/explained"])
        return told

    def _check(self, perplexity: float, explained: float) -> None:
        if perplexity < FEWEST:
            raise TrainingDiverged(
                f"after {self.steps} steps nearly every position has one of {perplexity:.1f} tokens (perplexity of the "
                "finest layer): start again with a smaller semantic_weight or commitment_weight, or learning_rate"
            )
        if explained < LEAST_EXPLAINED:
            raise TrainingDiverged(
                f"after {self.steps} steps {explained:.0%} of the images' variance comes back: start again with a "
                "smaller learning_rate, or a later adversarial_start"
            )
