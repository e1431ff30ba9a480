"""Statistics of the tokens that a quantiser uses during training, and detection of a collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lowdose.errors import TrainingDiverged

MEMORY = 0.98
"""Factor by which the statistics decay in each step, so that they cover about the last fifty steps."""

PATIENCE = 400
"""Steps before training is checked for a collapse."""

FEWEST = 3.0
"""Smallest perplexity of the finest layer; below it nearly all positions share a token or two."""

LEAST_EXPLAINED = 0.5
"""Smallest share of the images' variance that reconstructions must explain: a constant image of their mean explains
none of it, a blurred image most of it."""


class TokenUsage(nn.Module):
    """Exponentially decaying statistics of tokens and reconstructions; saved in checkpoints.

    Attributes
    ----------
    counts : Tensor
        How often each token was used in each layer, (layers, V).
    squares : Tensor
        Mean squared error of the reconstruction and variance of the images, (2,).
    meaning : Tensor
        Sum of the semantic loss (LEDA, Eq. 1) and the number of its summands, (2,).
    seen : Tensor
        Batches added, a scalar int64.
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
        """Number of batches added."""
        return int(self.seen)

    @torch.no_grad()
    def add(self, indices: Sequence[Tensor], image: Tensor, made: Tensor, semantic: Tensor | None = None) -> None:
        """Add one batch.

        indices: token numbers of each layer, of any shape. image, made: the batch and its reconstruction. semantic: the
        scalar semantic loss of the batch (Eq. 1), if it was computed.
        """
        words = self.counts.shape[1]
        counts = torch.stack([torch.bincount(index.flatten(), minlength=words) for index in indices])
        self.counts.mul_(MEMORY).add_(counts)
        errors = torch.stack([(made.float() - image).square().mean(), (image - image.mean()).square().mean()])
        self.squares.mul_(MEMORY).add_(errors)
        if semantic is not None:
            self.meaning.mul_(MEMORY).add_(torch.stack([semantic.float(), torch.ones_like(semantic.float())]))
        self.seen.add_(1)

    def extra_metrics(self) -> Mapping[str, float]:
        """Return by name how many tokens are in use and how well images are reconstructed; empty before any batch.

        These are the perplexity and the number of tokens in use of each layer, the share of the images' variance that
        reconstructions explain, and the mean of Eq. 1 before weighting (after weighting it is a fixed share of the
        other terms and carries no information). Raises TrainingDiverged, with advice, when tokens or images have
        collapsed.
        """
        if not self.steps:
            return {}
        share = self.counts.double() / self.counts.double().sum(1, keepdim=True).clamp(min=1e-12)
        perplexities = torch.exp(-(share * share.clamp(min=1e-30).log()).sum(1))
        metrics = {"tokens/explained": 1.0 - float(self.squares[0] / self.squares[1].clamp(min=1e-12))}
        for layer, (perplexity, counts) in enumerate(zip(perplexities, self.counts, strict=True), start=1):
            metrics[f"tokens/perplexity_{layer}"] = float(perplexity)
            metrics[f"tokens/in_use_{layer}"] = float((counts >= MEMORY ** (1 / (1 - MEMORY))).sum())
        if self.meaning[1] > 0:
            metrics["tokens/semantic"] = float(self.meaning[0] / self.meaning[1])
        if self.steps >= PATIENCE:
            self._check(float(perplexities[-1]), metrics["tokens/explained"])
        return metrics

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
