"""Batches that training steps receive."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PairedBatch(NamedTuple):
    """Batch of low-dose slices and the full-dose slices that they are to become, on one grid.

    Attributes
    ----------
    low : (B, 2c+1, H, W) float32, HU
        Low-dose slice in the middle, with c neighbouring slices on either side as further channels.
    full : (B, 1, H, W) float32, HU
        Full-dose slice.
    dose : (B,) float
        Dose of ``low`` as a fraction of the dose of ``full``; NaN where it is not known. The noise of ``low`` has
        1 / dose times the variance of the noise of ``full``.
    lesion : (B, 1, H, W) float32
        Weights by which the contrast of a lesion that was inserted into both images is measured: their sum is 1 over
        the lesion and -1 over a ring around it. All 0 for slices without a lesion; empty, (0,), where no lesions are
        inserted at all.
    number : (B,) int64
        Number of each patch in the training, on which alone random draws of a method may depend; empty, (0,), where
        it is not stated.
    """

    low: Tensor
    full: Tensor
    dose: Tensor = torch.tensor([torch.nan])
    lesion: Tensor = torch.zeros(0)
    number: Tensor = torch.zeros(0, dtype=torch.int64)


class LabelledBatch(NamedTuple):
    """Batch of slices with the class of every pixel.

    Attributes
    ----------
    hu : (B, 1, H, W) float32, HU
        Slices.
    classes : (B, h, w) int64
        Class of each pixel, an index into ``organ_classes.CLASSES``, or ``UNKNOWN``.
    annotated : (B, number of classes) bool
        Whether a class was annotated in each slice. A pixel that is ``UNKNOWN`` belongs to a class that was not.
    """

    hu: Tensor
    classes: Tensor
    annotated: Tensor


class CandidateTokenBatch(NamedTuple):
    """Batch of slices with the vocabulary tokens that describe each of them.

    Attributes
    ----------
    hu : (B, 1, H, W) float32, HU
        Slices.
    candidates : (M,) int64
        Tokens that fit each image, best first; the lists of all images concatenated in order.
    counts : (B, D) int64
        How many of the first candidates of an image form the pool of each layer of the quantiser, coarsest layer first.
    """

    hu: Tensor
    candidates: Tensor
    counts: Tensor

    def pools(self) -> list[list[Tensor]]:
        """Return the tokens as ``pools[image][layer]``; each pool is contained in the next layer's."""
        per_image = torch.split(self.candidates, self.counts[:, -1].tolist())
        return [
            [tokens[:count] for count in counts] for tokens, counts in zip(per_image, self.counts.tolist(), strict=True)
        ]


UNKNOWN = 255
"""Class number of a pixel whose class is not known."""
