"""What a segmentation is trained for: cross-entropy and Dice, also where only some classes were annotated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.batch import UNKNOWN

SMOOTH = 1.0
"""Pixels added to both sides of Dice, so that a class of a few pixels does not swing it."""

LEAST = -1e4
"""Logarithm of no probability: finite, so that gradients are."""


def segmentation_terms(logits: Tensor, classes: Tensor, annotated: Tensor) -> Mapping[str, Tensor]:
    """Scalars 'cross_entropy' and 'dice' of (B, K, h, w) logits; see ``batch.LabelledBatch`` for the other two.

    A pixel that is UNKNOWN is of one of the classes that were not annotated in its slice: its loss is minus the
    logarithm of their joint probability (marginal loss; Shi et al., Medical Image Analysis 2021). Cross-entropy is a
    weighted mean in which a class counts as the square root of its share of the pixels. Dice is soft, over the batch,
    one minus its mean over the annotated classes that occur.
    """
    logs = functional.log_softmax(logits.float(), dim=1)
    unknown = classes == UNKNOWN
    target = classes.masked_fill(unknown, 0)
    named = logs.gather(1, target[:, None])[:, 0]
    loss = -named
    if bool(unknown.any()):
        others = torch.logsumexp(logs.masked_fill(annotated[:, :, None, None], LEAST), dim=1)
        loss = torch.where(unknown, -others, loss)
    dice = _dice(logs.exp(), named.exp(), target, ~unknown, annotated)
    weight = _balance(classes)
    return {"cross_entropy": (loss * weight).sum() / weight.sum(), "dice": 1.0 - dice}


def _balance(classes: Tensor) -> Tensor:
    """(B, h, w) weights by which every class counts as the square root of its share of the batch.

    Counted by area, glands and vessels would be learned long after everything else.
    """
    pixels = torch.bincount(classes.flatten(), minlength=UNKNOWN + 1)
    return pixels.clamp(min=1).float().rsqrt()[classes]


def _dice(shares: Tensor, named: Tensor, target: Tensor, known: Tensor, annotated: Tensor) -> Tensor:
    """shares: (B, K, h, w) probabilities; named: (B, h, w), that of each pixel's own class."""
    classes = shares.shape[1]
    of_known = target[known]
    both = shares.new_zeros(classes).index_add(0, of_known, named[known])
    wanted = torch.bincount(of_known, minlength=classes)
    seen = (shares.sum(dim=(2, 3)) * annotated).sum(dim=0)
    dice = (2 * both + SMOOTH) / (seen + wanted + SMOOTH)
    occurs = (wanted > 0).to(dice.dtype)
    return (dice * occurs).sum() / occurs.sum().clamp(min=1)
