"""What one training step sees."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PairedBatch(NamedTuple):
    """low: (B, 2c+1, H, W), a slice amid its neighbours, full: (B, 1, H, W); float32 in HU, on one grid.

    dose: (B,), low's as a fraction of full's, NaN: not known. By dose, low's noise has 1 / dose times the variance of
    full's.
    """

    low: Tensor
    full: Tensor
    dose: Tensor = torch.tensor([torch.nan])


class LabelledBatch(NamedTuple):
    """hu: (B, 1, H, W) float32. classes: (B, h, w) int64 of ``organ_classes.CLASSES``, or UNKNOWN. annotated: (B, classes)
    bool: which classes were looked for; a pixel that is UNKNOWN is of one of the others.
    """

    hu: Tensor
    classes: Tensor
    annotated: Tensor


class CandidateTokenBatch(NamedTuple):
    """hu: (B, 1, H, W) float32. candidates: (M,) int64, of image after image the tokens that fit it, best first.
    counts: (B, D) int64, how many of an image's candidates are the pool of each layer, coarsest first.
    """

    hu: Tensor
    candidates: Tensor
    counts: Tensor

    def pools(self) -> list[list[Tensor]]:
        """``pools[image][layer]``, each contained in the next."""
        of_image = torch.split(self.candidates, self.counts[:, -1].tolist())
        return [
            [tokens[:count] for count in counts] for tokens, counts in zip(of_image, self.counts.tolist(), strict=True)
        ]


UNKNOWN = 255
