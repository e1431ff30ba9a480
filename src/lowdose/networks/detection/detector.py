"""Two-stage detector of lesions in CT slices (Faster R-CNN with a feature pyramid), in pure PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.networks.detection.anchors import balanced_sample, match_boxes
from lowdose.networks.detection.backbone import STRIDES, PyramidBackbone
from lowdose.networks.detection.boxes import clip_boxes, decode_boxes, encode_boxes, suppress_duplicates
from lowdose.networks.detection.proposals import BOX_BETA, RegionProposals, best_proposals, proposal_losses
from lowdose.networks.detection.roi_align import roi_align
from lowdose.sample_draws import independent_draws

WINDOWS = ((-60.0, 140.0), (-160.0, 240.0), (-1350.0, 150.0))
"""Windows in HU whose grey values are the channels that the network sees: liver, soft tissue and lung."""
POOLED = 7
"""Bins a side of the features of a box."""
FINEST_SIDE_PX = 16.0
"""Side of a box below which its features come from the finest map; with every doubling from the next one."""
LESION_OVERLAP = 0.5
"""Intersection over union of a proposal with a lesion from which it is taken for it in training."""
SAMPLED, SAMPLED_LESIONS = 32, 0.25
"""Proposals of an image that the losses are computed on, and the largest share of lesions among them."""
OFFSET_SD = (0.1, 0.1, 0.2, 0.2)
"""Usual size of the offsets of a second-stage box, in which they are predicted."""
LEAST_SCORE, DUPLICATE_OVERLAP, MOST = 0.05, 0.5, 30
"""Least score of a detection, overlap with a better one from which it is a duplicate, and most of them in a slice."""


class Detections(NamedTuple):
    """Lesions that were found in a slice, best first.

    Attributes
    ----------
    boxes : (N, 4) pixels
        Top, left, bottom and right edge.
    scores : (N,)
        Probability, as the network sees it.
    """

    boxes: Tensor
    scores: Tensor


class LesionDetector(nn.Module):
    """Detector with three parts: S1, the feature pyramid; the region proposals (RPN); and S2, which looks closer.

    Slices (B, 1, H, W) in HU -> lesions as boxes with scores.

    Parameters
    ----------
    width, blocks, pyramid : int
        Size of S1, see ``backbone.PyramidBackbone``; 64, 2 and 256 are those of ResNet-18 with a feature pyramid.
    hidden : int
        Units of the two dense layers of S2; published detectors have 1024.

    References
    ----------
    S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks,
    NeurIPS 2015.
    K. Chen et al., Lesion-Inspired Denoising Network, ACM Multimedia 2021, which names S1, S2 and RPN.
    """

    def __init__(self, width: int = 16, blocks: int = 1, pyramid: int = 32, hidden: int = 128) -> None:
        super().__init__()
        self.s1 = PyramidBackbone(len(WINDOWS), width, blocks, pyramid)
        self.rpn = RegionProposals(pyramid)
        self.s2 = nn.Sequential(
            nn.Flatten(), nn.Linear(pyramid * POOLED**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.score, self.offsets = nn.Linear(hidden, 1), nn.Linear(hidden, 4)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.offsets.weight, std=0.001)
        nn.init.zeros_(self.offsets.bias)

    def maps(self, slices: Tensor) -> list[Tensor]:
        """Return the feature pyramid of slices (B, 1, H, W) in HU, fine to coarse."""
        grey = [((slices - low) / (high - low)).clamp(0, 1) for low, high in WINDOWS]
        found: list[Tensor] = self.s1(torch.cat(grey, dim=1))
        return found

    def losses(self, slices: Tensor, boxes: Tensor, counts: Tensor, number: Tensor) -> Mapping[str, Tensor]:
        """Return the losses of both stages by name, means over the images.

        Parameters
        ----------
        slices : Tensor
            (B, 1, H, W), HU.
        boxes, counts : Tensor
            True boxes (M, 4) of all slices one after the other, and their number in each, (B,).
        number : Tensor
            Number of each slice in the training, (B,), on which alone random choices depend.
        """
        true, maps = torch.split(boxes, counts.tolist()), self.maps(slices)
        proposed = self.rpn(maps)
        objectness, offsets = proposal_losses(proposed, true, independent_draws(number, proposed.objectness.shape[1]))
        candidates = [
            torch.cat([found, own])
            for found, own in zip(best_proposals(proposed, *slices.shape[-2:]), true, strict=True)
        ]
        score, box = self._second_losses(maps, candidates, true, number)
        return {"rpn_objectness": objectness, "rpn_box": offsets, "s2_score": score, "s2_box": box}

    def _second_losses(
        self, maps: Sequence[Tensor], candidates: Sequence[Tensor], true: Sequence[Tensor], number: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of score and box of S2 at a sample of the candidates (N, 4) of each image."""
        chosen, wanted, lesions = [], [], []
        for image, (boxes, own) in enumerate(zip(candidates, true, strict=True)):
            found = match_boxes(boxes, own, LESION_OVERLAP, LESION_OVERLAP, nearest=False)
            draws = independent_draws(number[image : image + 1] + 1_000_003, len(boxes))[0]
            inside, outside = balanced_sample(found, SAMPLED, SAMPLED_LESIONS, draws)
            chosen.append(boxes[torch.cat([inside, outside])])
            wanted.append(own[found[inside]])
            lesions.append(torch.arange(len(chosen[-1]), device=boxes.device) < len(inside))
        scores, offsets = self._look_closer(maps, torch.cat(chosen), torch.tensor([len(each) for each in chosen]))
        of_lesion = torch.cat(lesions)
        targets = encode_boxes(torch.cat(wanted), torch.cat(chosen)[of_lesion]) / offsets.new_tensor(OFFSET_SD)
        score = functional.binary_cross_entropy_with_logits(scores, of_lesion.to(scores.dtype))
        error = functional.smooth_l1_loss(offsets[of_lesion], targets, reduction="sum", beta=BOX_BETA)
        return score, error / max(len(scores), 1)

    def _look_closer(self, maps: Sequence[Tensor], boxes: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit (M,) and the scaled offsets (M, 4) of boxes (M, 4)."""
        hidden = self.s2(box_features(maps, boxes, counts))
        return self.score(hidden)[:, 0].float(), self.offsets(hidden).float()

    @torch.no_grad()
    def detect(self, slices: Tensor) -> list[Detections]:
        """Return the lesions of each slice, of slices (B, 1, H, W) in HU."""
        maps, (height, width) = self.maps(slices), slices.shape[-2:]
        candidates = best_proposals(self.rpn(maps), height, width)
        counts = [len(boxes) for boxes in candidates]
        scores, offsets = self._look_closer(maps, torch.cat(candidates), torch.tensor(counts))
        moved = decode_boxes(offsets * offsets.new_tensor(OFFSET_SD), torch.cat(candidates))
        found = []
        split = (torch.split(each, counts) for each in (clip_boxes(moved, height, width), scores.sigmoid()))
        for boxes, score in zip(*split, strict=True):
            boxes, score = boxes[score >= LEAST_SCORE], score[score >= LEAST_SCORE]
            stays = suppress_duplicates(boxes, score, DUPLICATE_OVERLAP)[:MOST]
            found.append(Detections(boxes[stays], score[stays]))
        return found


def box_features(maps: Sequence[Tensor], boxes: Tensor, counts: Tensor) -> Tensor:
    """Return the features of boxes, (M, C, 7, 7), each from the map of the pyramid that suits its size.

    boxes: (M, 4) pixels, those of all images one after the other. counts: their number in each image, (B,).
    """
    side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt()
    level = (side / FINEST_SIDE_PX).clamp(min=1).log2().floor().long().clamp(max=len(maps) - 1)
    image = torch.repeat_interleave(torch.arange(len(counts)), counts.cpu()).to(boxes.device)
    pooled = torch.zeros(len(boxes), maps[0].shape[1], POOLED, POOLED, device=boxes.device)
    for number, (features, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        here = level == number
        of_image = torch.bincount(image[here], minlength=len(counts))
        pooled = pooled.index_put((here.nonzero()[:, 0],), roi_align(features, boxes[here], of_image, stride, POOLED))
    return pooled
