"""Words of the organs that a latent's region shows, added to the latents of the coarse layers of the token pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.pyramid_quantiser import positions
from lowdose.organ_classes import CLASSES

NOTHING = 2
"""The first classes, outside and the rest of the body, have no words."""


class OrganWords(nn.Module):
    """Map from organs to words: adds to each latent of a coarse layer a mean of word embeddings.

    Only one position in fourteen is on a coarse layer, too few for an encoder to learn from them which word an organ
    has. Here it has to learn the organs, which every cell teaches (``Autoencoder.encode_with_organs``).

    ``tables`` holds for each coarse layer an embedding of every class, (classes, C), of zeros until ``set_words``.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.parts = positions(layers)[:-1]
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(len(CLASSES), channels)) for _ in self.parts])

    @torch.no_grad()
    def set_words(self, tables: Sequence[Tensor]) -> None:
        """Set the embeddings of the classes in each layer, (classes, C)."""
        for parameter, table in zip(self.tables, tables, strict=True):
            parameter.copy_(table)

    def forward(self, latents: Tensor, logits: Tensor) -> Tensor:
        """Return latents (B, C, h, w) with the words added; logits: (B, classes, h, w) of the organs of each cell.

        The shares of the organs in a region are squared, so that the largest ones decide.
        """
        result, shares = latents.clone(), torch.softmax(logits.float(), 1)
        for part, table in zip(self.parts, self.tables, strict=True):
            step = part.step or 1
            region = functional.avg_pool2d(shares, step, ceil_mode=True, count_include_pad=False)
            organs = region[:, NOTHING:].square()
            weights = region[:, NOTHING:].sum(1, keepdim=True) * organs / organs.sum(1, keepdim=True).clamp(min=1e-6)
            words = torch.einsum("bkhw,kc->bchw", weights, table[NOTHING:])
            at = (..., part, part)
            rows, columns = result[at].shape[-2:]
            result[at] += words[..., :rows, :columns]
        return result
