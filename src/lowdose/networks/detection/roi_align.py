"""RoIAlign by ``grid_sample``: features of boxes, pooled to one size, differentiable in the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAMPLES = 2
"""Samples along each axis of a bin."""


def roi_align(features: Tensor, boxes: Tensor, counts: Tensor, stride: int, size: int = 7) -> Tensor:
    """Return the features of each box: means over ``size`` x ``size`` bins of bilinearly sampled values.

    As ``torchvision.ops.roi_align`` with ``aligned=True`` and two samples along each axis of a bin; where a sample
    lies outside of the map, its border goes on.

    Parameters
    ----------
    features : Tensor
        Maps, (B, C, h, w).
    boxes : Tensor
        Top, left, bottom and right edge in pixels of the image, (M, 4); those of all images one after the other.
    counts : Tensor
        Number of boxes of each image, (B,).
    stride : int
        Pixels of the image in a pixel of the map.
    size : int
        Bins along each axis.

    Returns
    -------
    Tensor
        (M, C, size, size); empty where there are no boxes.

    References
    ----------
    K. He, G. Gkioxari, P. Dollár, R. Girshick, Mask R-CNN, ICCV 2017, section 3.

    Examples
    --------
    A map that rises by 1 from column to column has, in the middle of a box, the value of that place:

    >>> import torch
    >>> from lowdose.networks.detection.roi_align import roi_align
    >>> slope = torch.arange(8.0).expand(1, 1, 8, 8)
    >>> roi_align(slope, torch.tensor([[2.0, 2.0, 6.0, 6.0]]), torch.tensor([1]), 1, size=2)[0, 0].tolist()
    [[2.5, 4.5], [2.5, 4.5]]
    """
    pooled = [
        _of_image(image, of_image / stride, size)
        for image, of_image in zip(features, torch.split(boxes, counts.tolist()), strict=True)
    ]
    return torch.cat(pooled)


def _of_image(features: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Pool the map (C, h, w) of one image in boxes (M, 4), in pixels of the map."""
    height, width = features.shape[-2:]
    steps = (torch.arange(size * SAMPLES, device=boxes.device) + 0.5) / (size * SAMPLES)
    low, sides = boxes[:, :2, None], (boxes[:, 2:] - boxes[:, :2])[:, :, None]
    places = low + sides * steps  # (M, 2, size * SAMPLES), 0 at the outer edge of the first pixel
    relative = 2 * places / boxes.new_tensor([height, width])[:, None] - 1
    down, across = relative[:, 0, :, None], relative[:, 1, None, :]
    shape = (len(boxes), size * SAMPLES, size * SAMPLES)
    grid = torch.stack([across.expand(shape), down.expand(shape)], dim=-1)
    rows = grid.flatten(0, 1)[None]  # half precision would move the samples
    sampled = functional.grid_sample(features[None].float(), rows, padding_mode="border", align_corners=False)[0]
    per_box = sampled.reshape(len(features), *shape).transpose(0, 1)
    return functional.avg_pool2d(per_box, SAMPLES) if len(boxes) else per_box[..., :size, :size]
