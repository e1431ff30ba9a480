"""Region proposal network: where there may be a lesion, from every place of the pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.detection.anchors import ASPECTS, balanced_sample, make_anchors, match_boxes
from lowdose.networks.detection.backbone import STRIDES
from lowdose.networks.detection.boxes import clip_boxes, decode_boxes, encode_boxes, suppress_duplicates

LESION_OVERLAP, BACKGROUND_OVERLAP = 0.5, 0.3
"""Intersection over union of an anchor with a lesion from which it is one, and below which it is background."""
SAMPLED, SAMPLED_LESIONS = 64, 0.5
"""Anchors of an image that the losses are computed on, and the largest share of lesions among them."""
BEST, DUPLICATE_OVERLAP, KEPT = 300, 0.7, 60
"""Proposals of an image before duplicates are suppressed, overlap of a duplicate, and most proposals after."""
BOX_BETA = 1 / 9
"""Where the error of an offset turns from square to linear."""


class Proposed(NamedTuple):
    """What the network says of the anchors (N) of a batch.

    Attributes
    ----------
    anchors : (N, 4) pixels
        The anchors.
    objectness : (B, N)
        Logit of whether there is a lesion.
    offsets : (B, N, 4)
        How its box differs from the anchor, see ``boxes.encode_boxes``.
    """

    anchors: Tensor
    objectness: Tensor
    offsets: Tensor


class RegionProposals(nn.Module):
    """Region proposal network (RPN): maps (B, channels, h, w) of a pyramid -> ``Proposed``.

    References
    ----------
    S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks,
    NeurIPS 2015.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, len(ASPECTS), 1)
        self.offsets = nn.Conv2d(channels, 4 * len(ASPECTS), 1)
        nn.init.normal_(self.objectness.weight, std=0.01)
        nn.init.constant_(self.objectness.bias, -4.0)  # type: ignore[arg-type]  # lesions are rare
        nn.init.normal_(self.offsets.weight, std=0.01)
        nn.init.zeros_(self.offsets.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Proposed:
        """Return what is said of all anchors."""
        hidden = [functional.relu(self.shared(each)) for each in maps]
        objectness = [self.objectness(each).permute(0, 2, 3, 1).flatten(1) for each in hidden]
        offsets = [self.offsets(each).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4)) for each in hidden]
        shapes = [(int(each.shape[-2]), int(each.shape[-1])) for each in maps]
        anchors = make_anchors(shapes, STRIDES, maps[0].device)
        return Proposed(anchors, torch.cat(objectness, 1).float(), torch.cat(offsets, 1).float())


def proposal_losses(proposed: Proposed, boxes: Sequence[Tensor], draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of objectness and of boxes, means over the images.

    boxes: true boxes (M, 4) of each image. draws: (B, N), random numbers that choose the anchors.
    """
    objectness, offsets = [], []
    for image, true in enumerate(boxes):
        found = match_boxes(proposed.anchors, true, LESION_OVERLAP, BACKGROUND_OVERLAP, nearest=True)
        lesions, background = balanced_sample(found, SAMPLED, SAMPLED_LESIONS, draws[image])
        logits = proposed.objectness[image, torch.cat([lesions, background])]
        wanted = (torch.arange(len(logits), device=logits.device) < len(lesions)).to(logits.dtype)
        objectness.append(functional.binary_cross_entropy_with_logits(logits, wanted))
        targets = encode_boxes(true[found[lesions]], proposed.anchors[lesions])
        error = functional.smooth_l1_loss(proposed.offsets[image, lesions], targets, reduction="sum", beta=BOX_BETA)
        offsets.append(error / max(len(logits), 1))
    return torch.stack(objectness).mean(), torch.stack(offsets).mean()


@torch.no_grad()
def best_proposals(proposed: Proposed, height: int, width: int) -> list[Tensor]:
    """Return the boxes of each image, (M, 4), at which to look closer, without duplicates, best first."""
    found = []
    for logits, offsets in zip(proposed.objectness, proposed.offsets, strict=True):
        best = logits.topk(min(BEST, len(logits))).indices
        boxes = clip_boxes(decode_boxes(offsets[best], proposed.anchors[best]), height, width)
        wide = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= 1
        boxes, scores = boxes[wide], logits[best][wide]
        found.append(boxes[suppress_duplicates(boxes, scores, DUPLICATE_OVERLAP)[:KEPT]])
    return found
