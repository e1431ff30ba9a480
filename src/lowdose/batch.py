"""Batches that training steps receive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Pools = Sequence[Sequence[Tensor | Sequence[Tensor]]]
"""Candidate tokens ``pools[image][layer]``: one non-empty tensor of token numbers for all positions of a layer, as in
LEDA, or a tensor for each position, row by row, which may be empty; then of the coarsest layers alone, if so wanted."""


class PairedBatch(NamedTuple):
    """Batch of low-dose slices and the full-dose slices that they are to become, on one grid.

    A method declares which of the fields it needs (``methods.base.Method.fields``); what it does not is empty.

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
        the lesion and -1 over a ring around it. All 0 for slices without a lesion.
    number : (B,) int64
        Number of each patch in the training, on which alone random draws of a method may depend; empty, (0,), where
        it is not stated.
    full_context : (B, 2c+1, H, W) float32, HU
        Full-dose slice among its neighbours, which are those of ``low``.
    position : (B, 3) float32
        Where the patch lies: its slice in its stack, and its centre from the top and from the left of the slice, each
        from 0 to 1; NaN for a slice without neighbours.
    unpaired : (B, 2c+1, H, W) float32, HU
        Low-dose patch of another slice.
    boxes : (M, 4) float32, pixels
        Top, left, bottom and right edge of each finding; those of all patches one after the other.
    labels : (M,) int64
        What each finding is; an inserted lesion is 0.
    box_counts : (B,) int64
        Number of findings in each patch.
    """

    low: Tensor
    full: Tensor = torch.zeros(0)
    dose: Tensor = torch.tensor([torch.nan])
    lesion: Tensor = torch.zeros(0)
    number: Tensor = torch.zeros(0, dtype=torch.int64)
    full_context: Tensor = torch.zeros(0)
    position: Tensor = torch.zeros(0)
    unpaired: Tensor = torch.zeros(0)
    boxes: Tensor = torch.zeros(0, 4)
    labels: Tensor = torch.zeros(0, dtype=torch.int64)
    box_counts: Tensor = torch.zeros(0, dtype=torch.int64)


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
        Slices; without noise where ``noise`` is given.
    candidates : (M,) int64
        Tokens that fit each image; the lists of all images concatenated in order.
    counts : (B, D) or (B, P) int64
        How many of the first candidates of an image, best first, form the pool of each of D layers of the quantiser,
        coarsest layer first. With ``positions``: how many candidates each of the P positions of the coarse layers has.
    positions : (L,) int64
        Number of positions of each of the coarsest L layers that have pools of their own; empty, (0,), where a layer
        has one pool for the whole image.
    noise : (B, 2, H, W) float32, HU
        Two realisations of one noise, to be added to ``hu``; empty, (0,), where slices keep the noise they have.
    organs : (B, number of ``organ_classes.CLASSES``, h, w) float32
        Share of each class in each cell of the latents; empty, (0,), where it is not needed.
    """

    hu: Tensor
    candidates: Tensor
    counts: Tensor
    positions: Tensor = torch.zeros(0, dtype=torch.int64)
    noise: Tensor = torch.zeros(0)
    organs: Tensor = torch.zeros(0)

    def pools(self) -> Pools:
        """Return the tokens as ``pools[image][layer]``.

        A pool is one list of tokens, contained in the next layer's; or, with ``positions``, a list for each position.
        """
        if len(self.positions):
            lists = torch.split(self.candidates, self.counts.flatten().tolist())
            layers = self.positions.tolist()
            firsts = [sum(layers[:number]) for number in range(len(layers))]
            return [
                [list(lists[at + first : at + first + length]) for first, length in zip(firsts, layers, strict=True)]
                for at in range(0, len(lists), sum(layers))
            ]
        per_image = torch.split(self.candidates, self.counts[:, -1].tolist())
        return [
            [tokens[:count] for count in counts] for tokens, counts in zip(per_image, self.counts.tolist(), strict=True)
        ]


class NoiseBatch(NamedTuple):
    """Batch of patches of noise with their places in the body.

    Attributes
    ----------
    noise : (B, 1, H, W) float32, HU
        Noise, of mean 0.
    conditions : (B, C, 1, 1) float32
        Conditions at the middle of each, see ``training.learned_noise.conditions``.
    number : (B,) int64
        Number of each patch in the training, on which alone random draws of a method may depend.
    """

    noise: Tensor
    conditions: Tensor
    number: Tensor = torch.zeros(0, dtype=torch.int64)


B = TypeVar("B", bound=tuple[Tensor, ...])


def split_batch(batch: B, parts: int) -> list[B]:
    """Return the equal parts of a batch, a NamedTuple of tensors; fields that it lacks are lacking in all."""
    if parts == 1:
        return [batch]
    fields, size = batch._asdict(), len(batch[0])  # type: ignore[attr-defined]
    columns = {name: value.chunk(parts) if len(value) == size else [value] * parts for name, value in fields.items()}
    if len(fields.get("box_counts", ())):
        numbers = [int(counts.sum()) for counts in columns["box_counts"]]
        columns |= {name: fields[name].split(numbers) for name in ("boxes", "labels")}
    return [type(batch)(*part) for part in zip(*columns.values(), strict=True)]


UNKNOWN = 255
"""Class number of a pixel whose class is not known."""
