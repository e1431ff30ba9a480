"""How well a detector finds lesions: average precision and the free-response curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lowdose.errors import GeometryMismatch
from lowdose.networks.detection.boxes import box_iou

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is averaged, as COCO does."""


class Outcome(NamedTuple):
    """What became of the detections and the lesions of several slices.

    Attributes
    ----------
    scores : (N,) float64
        Scores of all detections, best first.
    hits : (N,) bool
        Whether each of them is the first to find a lesion.
    found_at : sequence of (M,) float64
        Of each slice, the score at which each lesion is found; -inf for those that are not.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    found_at: Sequence[NDArray[np.float64]]


def match_detections(
    boxes: Sequence[ArrayLike], scores: Sequence[ArrayLike], lesions: Sequence[ArrayLike], overlap: float = 0.5
) -> Outcome:
    """Match the detections of each slice with its lesions.

    The best detection comes first, and takes the lesion that it overlaps most of those that none has taken, if the
    intersection over union is at least ``overlap``.

    Parameters
    ----------
    boxes : sequence of array_like, shape (N, 4)
        Detections of each slice: top, left, bottom and right edge in pixels.
    scores : sequence of array_like, shape (N,)
        Their scores.
    lesions : sequence of array_like, shape (M, 4)
        Lesions of each slice.
    overlap : float
        Least intersection over union.

    Returns
    -------
    Outcome
        Scores and hits of all detections, and at which score each lesion is found.

    Raises
    ------
    GeometryMismatch
        If the sequences are not of one length, or boxes and scores of a slice are not.

    Examples
    --------
    >>> from lowdose.metrics.lesion_detection import match_detections
    >>> outcome = match_detections([[[0, 0, 4, 4], [9, 9, 12, 12]]], [[0.5, 0.9]], [[[0, 0, 4, 5]]])
    >>> outcome.hits.tolist(), outcome.found_at[0].tolist()
    ([False, True], [0.5])
    """
    if not len(boxes) == len(scores) == len(lesions):
        raise GeometryMismatch(f"{len(boxes)} slices of boxes, {len(scores)} of scores and {len(lesions)} of lesions")
    return join_outcomes([_match_slice(*slice_, overlap) for slice_ in zip(boxes, scores, lesions, strict=True)])


def join_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """Join the outcomes of several slices or sets of slices, as a bootstrap does that draws them anew.

    Parameters
    ----------
    outcomes : sequence of Outcome
        As `match_detections` returns them; one may occur several times.

    Returns
    -------
    Outcome
        The same as `match_detections` of all the slices together.

    Examples
    --------
    >>> from lowdose.metrics.lesion_detection import join_outcomes, match_detections
    >>> one = match_detections([[[0, 0, 4, 4]]], [[0.5]], [[[0, 0, 4, 5]]])
    >>> other = match_detections([[[9, 9, 12, 12]]], [[0.9]], [[]])
    >>> join_outcomes([one, other]).hits.tolist()
    [False, True]
    """
    scores = np.concatenate([each.scores for each in outcomes] or [np.zeros(0)])
    hits = np.concatenate([each.hits for each in outcomes] or [np.zeros(0, bool)])
    order = np.argsort(-scores, kind="stable")
    return Outcome(scores[order], hits[order], [found_at for each in outcomes for found_at in each.found_at])


def _match_slice(boxes: ArrayLike, scores: ArrayLike, lesions: ArrayLike, overlap: float) -> Outcome:
    found, true = (np.asarray(each, np.float64).reshape(-1, 4) for each in (boxes, lesions))
    values = np.asarray(scores, np.float64).reshape(-1)
    if len(found) != len(values):
        raise GeometryMismatch(f"{len(found)} boxes and {len(values)} scores in a slice; give one score for each box")
    order = np.argsort(-values, kind="stable")
    shared = box_iou(torch.from_numpy(found[order]), torch.from_numpy(true)).numpy()
    hits, found_at = np.zeros(len(found), bool), np.full(len(true), -np.inf)
    for place, score in enumerate(values[order]):
        free = np.where(np.isneginf(found_at), shared[place], -1.0)
        if len(true) and free.max() >= overlap:
            hits[place], found_at[int(free.argmax())] = True, score
    return Outcome(values[order], hits, [found_at])


def average_precision(outcome: Outcome) -> float:
    """Compute the average precision of a detector, the area under its curve of precision over recall.

    Precision at a recall is the largest at this or any higher recall, averaged over 101 recalls from 0 to 1. With an
    ``overlap`` of 0.5 in `match_detections` this is AP-50, with 0.75 AP-75.

    Parameters
    ----------
    outcome : Outcome
        As `match_detections` returns it.

    Returns
    -------
    float
        0 to 1; NaN without lesions.

    References
    ----------
    .. [1] Lin et al., "Microsoft COCO: Common objects in context", ECCV 2014; the evaluation of its detection task.

    Examples
    --------
    >>> from lowdose.metrics.lesion_detection import average_precision, match_detections
    >>> average_precision(match_detections([[[0, 0, 4, 4]]], [[0.5]], [[[0, 0, 4, 4]]]))
    1.0
    """
    lesions = sum(len(each) for each in outcome.found_at)
    if not lesions:
        return float("nan")
    true = np.cumsum(outcome.hits)
    recall, precision = true / lesions, true / np.arange(1, len(true) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALLS, side="left")
    reached = place < len(recall)
    return float(np.where(reached, highest[np.minimum(place, len(recall) - 1)], 0.0).mean()) if len(recall) else 0.0


def free_response(outcome: Outcome, false_per_slice: Sequence[float]) -> NDArray[np.float64]:
    """Compute the free-response curve: the share of lesions found at a number of false detections.

    Parameters
    ----------
    outcome : Outcome
        As `match_detections` returns it.
    false_per_slice : sequence of float
        Mean numbers of false detections in a slice.

    Returns
    -------
    ndarray of float64, shape of ``false_per_slice``
        Largest sensitivity with at most so many false detections; NaN without lesions.

    References
    ----------
    .. [1] Chakraborty, "Maximum likelihood analysis of free-response receiver operating characteristic (FROC) data",
       Medical Physics 1989.

    Examples
    --------
    >>> from lowdose.metrics.lesion_detection import free_response, match_detections
    >>> outcome = match_detections([[[0, 0, 4, 4], [9, 9, 12, 12]]], [[0.5, 0.9]], [[[0, 0, 4, 4]]])
    >>> free_response(outcome, [0.0, 1.0]).tolist()
    [0.0, 1.0]
    """
    lesions = sum(len(each) for each in outcome.found_at)
    if not lesions:
        return np.full(len(false_per_slice), np.nan)
    sensitivity = np.concatenate([[0.0], np.cumsum(outcome.hits) / lesions])
    false = np.concatenate([[0.0], np.cumsum(~outcome.hits) / len(outcome.found_at)])
    return np.array([sensitivity[false <= most].max() for most in false_per_slice])
