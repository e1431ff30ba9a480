"""Loss terms of segmentation, cross-entropy and soft Dice, also for partly annotated slices."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lowdose.batch import UNKNOWN

SMOOTH = 1.0
"""Pixels added to numerator and denominator of Dice, so that a class of a few pixels does not make it jump."""

MIN_LOG_PROBABILITY = -1e4
"""Logarithm that stands for the probability 0: finite, so that gradients are finite too."""


def segmentation_terms(logits: Tensor, classes: Tensor, annotated: Tensor) -> Mapping[str, Tensor]:
    """Return the cross-entropy and Dice losses of a batch of slices, of which some may be partly annotated.

    The loss of a pixel with a known class is minus the logarithm of the probability of that class. A pixel marked
    UNKNOWN belongs to one of the classes that were not annotated in its slice: its loss is minus the logarithm of their
    joint probability (marginal loss, Shi et al.). The cross-entropy is a weighted mean in which each class counts as
    the square root of its share of the pixels. The Dice coefficient is soft and taken over the whole batch, for each
    annotated class that occurs.

    Parameters
    ----------
    logits : Tensor
        Output of the network, (B, K, h, w) for K classes.
    classes : Tensor
        Class of each pixel, (B, h, w) int64: an index from 0 to K - 1, or ``lowdose.batch.UNKNOWN``.
    annotated : Tensor
        Which classes were annotated in each slice, (B, K) bool.

    Returns
    -------
    Mapping[str, Tensor]
        The scalars 'cross_entropy', and 'dice': 1 minus the mean Dice coefficient.

    References
    ----------
    Shi et al., "Marginal loss and exclusion loss for partially supervised multi-organ segmentation", Medical Image
    Analysis 70, 2021 (marginal cross-entropy).

    Examples
    --------
    >>> import torch
    >>> from lowdose.objectives import segmentation_terms
    >>> logits = torch.zeros(1, 3, 4, 4)  # three classes, all equally likely
    >>> classes = torch.zeros(1, 4, 4, dtype=torch.int64)
    >>> terms = segmentation_terms(logits, classes, torch.ones(1, 3, dtype=torch.bool))
    >>> {name: round(float(value), 3) for name, value in terms.items()}
    {'cross_entropy': 1.099, 'dice': 0.478}
    """
    log_probabilities = functional.log_softmax(logits.float(), dim=1)
    unknown = classes == UNKNOWN
    target = classes.masked_fill(unknown, 0)
    log_target = log_probabilities.gather(1, target[:, None])[:, 0]
    loss = -log_target
    if bool(unknown.any()):
        others = torch.logsumexp(log_probabilities.masked_fill(annotated[:, :, None, None], MIN_LOG_PROBABILITY), dim=1)
        loss = torch.where(unknown, -others, loss)
    dice = _mean_dice(log_probabilities.exp(), log_target.exp(), target, ~unknown, annotated)
    weight = _pixel_weights(classes)
    return {"cross_entropy": (loss * weight).sum() / weight.sum(), "dice": 1.0 - dice}


def _pixel_weights(classes: Tensor) -> Tensor:
    """Return (B, h, w) weights with which each class counts as the square root of its share of the batch.

    Weighted by area, glands and vessels would be learned long after everything else.
    """
    pixels = torch.bincount(classes.flatten(), minlength=UNKNOWN + 1)
    return pixels.clamp(min=1).float().rsqrt()[classes]


def _mean_dice(
    probabilities: Tensor, target_probability: Tensor, target: Tensor, known: Tensor, annotated: Tensor
) -> Tensor:
    """Return the mean soft Dice coefficient over the annotated classes that occur.

    probabilities: (B, K, h, w); target_probability: (B, h, w), that of each pixel's true class.
    """
    classes = probabilities.shape[1]
    known_target = target[known]
    overlap = probabilities.new_zeros(classes).index_add(0, known_target, target_probability[known])
    true_pixels = torch.bincount(known_target, minlength=classes)
    predicted_pixels = (probabilities.sum(dim=(2, 3)) * annotated).sum(dim=0)
    dice = (2 * overlap + SMOOTH) / (predicted_pixels + true_pixels + SMOOTH)
    occurs = (true_pixels > 0).to(dice.dtype)
    return (dice * occurs).sum() / occurs.sum().clamp(min=1)
