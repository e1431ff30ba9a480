"""Anchors of a pyramid of feature maps, and which of them are taken for a lesion in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lowdose.networks.detection.boxes import box_iou

ASPECTS = (0.5, 1.0, 2.0)
"""Height over width of the anchors at each place."""
SIDE_IN_STRIDES = 3.0
"""Side of a square anchor, in strides of its map: 12, 24 and 48 pixels at strides of 4, 8 and 16."""
BACKGROUND, IGNORED = -1, -2
"""What ``match_boxes`` returns in place of the number of a lesion: none, and neither of the two."""


def make_anchors(shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device) -> Tensor:
    """Return the anchors of all maps, (N, 4) pixels: map by map, row by row, and the aspects of a place together."""
    return torch.cat([_of_map(shape, stride, device) for shape, stride in zip(shapes, strides, strict=True)])


def _of_map(shape: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    rows, columns = (torch.arange(count, device=device) * stride + stride / 2 for count in shape)
    centres = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    roots = torch.tensor(ASPECTS, device=device).sqrt()
    half = SIDE_IN_STRIDES * stride / 2 * torch.stack([roots, 1 / roots], dim=-1)
    low, high = centres[..., None, :] - half, centres[..., None, :] + half
    return torch.cat([low, high], dim=-1).reshape(-1, 4)


def match_boxes(candidates: Tensor, true: Tensor, least: float, most_of_background: float, nearest: bool) -> Tensor:
    """Return for each candidate, (N, 4), the number of the true box, (M, 4), that it is taken for, as (N,) int64.

    A candidate is a lesion from an intersection over union of ``least`` on, background below ``most_of_background``,
    and ignored between. nearest: whether the candidates with the largest overlap of each true box are lesions in any
    case.
    """
    if not len(true):
        return torch.full((len(candidates),), BACKGROUND, device=candidates.device)
    overlap = box_iou(candidates, true)
    best, box = overlap.max(dim=1)
    found = torch.where(best >= least, box, torch.where(best < most_of_background, BACKGROUND, IGNORED))
    if nearest:
        largest = (overlap >= overlap.max(dim=0).values.clamp(min=1e-3) - 1e-6).any(dim=1)
        found = torch.where(largest, box, found)
    return found


def balanced_sample(found: Tensor, count: int, share: float, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Draw at most ``count`` candidates, at most ``share`` of them lesions, the rest background.

    found: (N,), as ``match_boxes`` returns it. draws: (N,), a random number for each candidate, on which alone the
    choice depends. Returns the numbers of the lesions and those of the background.
    """
    lesions, background = (found >= 0).nonzero()[:, 0], (found == BACKGROUND).nonzero()[:, 0]
    chosen = lesions[draws[lesions].argsort()][: int(count * share)]
    return chosen, background[draws[background].argsort()][: count - len(chosen)]
