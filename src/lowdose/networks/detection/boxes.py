"""Boxes as (top, left, bottom, right) in pixels: overlap, offsets from anchors, suppression of duplicates."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_LOG_RATIO = 4.0
"""Largest logarithm of the ratio of two sides that ``decode_boxes`` takes, so that no box overflows."""


def box_area(boxes: Tensor) -> Tensor:
    """Return the area of boxes (N, 4), in square pixels; 0 where an edge lies beyond its opposite."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of boxes (N, 4) with boxes (M, 4), as (N, M); 0 for two empty boxes.

    Examples
    --------
    >>> import torch
    >>> from lowdose.networks.detection.boxes import box_iou
    >>> others = torch.tensor([[0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 6.0, 6.0]])
    >>> box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), others).tolist()
    [[0.3333333432674408, 0.0]]
    """
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    union = box_area(first)[:, None] + box_area(second)[None] - shared
    return shared / union.clamp(min=torch.finfo(shared.dtype).tiny)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return how boxes differ from anchors, both (N, 4), as (N, 4).

    Offsets of the centre relative to the sides of the anchor, then logarithms of the ratios of the sides (y, x).

    References
    ----------
    S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN, NeurIPS 2015, Eq. 2.
    """
    centre, sides = _centre_and_sides(boxes)
    of_anchor, anchor_sides = _centre_and_sides(anchors)
    return torch.cat([(centre - of_anchor) / anchor_sides, (sides / anchor_sides).log()], dim=1)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes that differ from anchors by offsets, the inverse of ``encode_boxes``."""
    of_anchor, anchor_sides = _centre_and_sides(anchors)
    centre = of_anchor + offsets[:, :2] * anchor_sides
    sides = anchor_sides * offsets[:, 2:].clamp(max=LARGEST_LOG_RATIO).exp()
    return torch.cat([centre - sides / 2, centre + sides / 2], dim=1)


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return boxes (N, 4), cut at the edges of an image of height x width pixels."""
    limits = boxes.new_tensor([height, width, height, width])
    return torch.minimum(boxes.clamp(min=0), limits)


def suppress_duplicates(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Return the numbers of the boxes (N, 4) that stay, best score first.

    A box goes if its intersection over union with a better one that stays is above ``overlap`` (non-maximum
    suppression).
    """
    order = scores.argsort(descending=True, stable=True)
    duplicate = (box_iou(boxes[order], boxes[order]) > overlap).cpu()
    stays = torch.ones(len(order), dtype=torch.bool)
    for place in range(len(order)):
        if stays[place]:
            stays[place + 1 :] &= ~duplicate[place, place + 1 :]
    return order[stays.to(order.device)]


def _centre_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + sides / 2, sides
