"""Detection of lesions in a series, slice by slice as it is read or denoised."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lowdose.image import AIR, HU, Slice
from lowdose.infer.lesion_linking import link_boxes
from lowdose.infer.lesions import Box, Lesion, LesionBox, LesionPicture, centre_mm, extent_mm
from lowdose.io.neighbours import linked_slices
from lowdose.io.source import Source
from lowdose.networks.detection.detector import LesionDetector

SHOWN = 24
"""Lesions of which a picture is kept, those with the best scores."""
PICTURE_PX, PICTURE_BOXES = 120, 3
"""Side of a picture in pixels, or in longer sides of the box where that is more."""


@dataclass
class _Growing:
    """A lesion that further slices may continue."""

    boxes: list[LesionBox] = field(default_factory=list)
    hu_sum: float = 0.0
    pixels: int = 0
    picture: LesionPicture | None = None

    @property
    def score(self) -> float:
        return max(each.score for each in self.boxes)


class LesionFinder:
    """Finds lesions in the slices of a series, which come one after the other.

    Boxes that follow each other in neighbouring slices (``io.neighbours.linked_slices``) are linked to one lesion
    (``lesion_linking.link_boxes``). Of the slices nothing is kept but the surroundings of the best lesions.

    Parameters
    ----------
    detector : LesionDetector
        In eval mode.
    source : Source
        The series.
    least_score : float
        Score from which a box counts, 0 to 1.
    """

    def __init__(self, detector: LesionDetector, source: Source, least_score: float) -> None:
        self._detector, self._least_score = detector, least_score
        self._device = next(detector.parameters()).device
        self._planes = source.planes
        thickness = source.acquisition.thickness_mm
        self._step = source.geometry.spacing[0] if source.geometry else thickness
        self._follows = [False, *linked_slices(source.planes, thickness)]
        self._next = 0
        self._open: list[_Growing] = []
        self._ended: list[_Growing] = []

    def write(self, original: Slice, hu: HU) -> None:
        """Look at the next slice: ``hu``, (y, x) in HU, is what the detector sees of ``original``."""
        seen = np.where(original.valid, hu, AIR)
        found = self._detector.detect(torch.from_numpy(seen)[None, None].float().to(self._device))[0]
        sure = found.scores >= self._least_score
        boxes, scores = found.boxes[sure].cpu(), found.scores[sure].cpu()
        before = self._open if self._follows[self._next] else []
        continued = link_boxes(_last_boxes(before), boxes)
        growing = []
        for number, (box, score) in enumerate(zip(boxes.tolist(), scores.tolist(), strict=True)):
            lesion = before[continued[number]] if number in continued else _Growing()
            self._add(lesion, (box[0], box[1], box[2], box[3]), score, original, seen)
            growing.append(lesion)
        self._end([each for each in self._open if not any(each is other for other in growing)])
        self._open, self._next = growing, self._next + 1

    def lesions(self) -> list[Lesion]:
        """Return what was found, best first."""
        found = sorted([*self._ended, *self._open], key=lambda each: -each.score)
        return [self._finished(each, place < SHOWN) for place, each in enumerate(found)]

    def _add(self, lesion: _Growing, box: Box, score: float, original: Slice, seen: HU) -> None:
        if not lesion.boxes or score > lesion.score:
            lesion.picture = _picture(seen, box, original.aspect)
        lesion.boxes.append(LesionBox(self._next, box, score))
        inside = _pixels_inside(box, original.hu.shape)
        values = original.hu[inside][original.valid[inside]]
        lesion.hu_sum += float(values.sum(dtype=np.float64))
        lesion.pixels += values.size

    def _end(self, lesions: list[_Growing]) -> None:
        self._ended = sorted([*self._ended, *lesions], key=lambda each: -each.score)
        for lesion in self._ended[SHOWN:]:
            lesion.picture = None

    def _finished(self, lesion: _Growing, shown: bool) -> Lesion:
        return Lesion(
            tuple(lesion.boxes),
            lesion.hu_sum / lesion.pixels if lesion.pixels else None,
            extent_mm(lesion.boxes, self._planes, self._step),
            centre_mm(lesion.boxes, self._planes),
            lesion.picture if shown else None,
        )


def _last_boxes(lesions: list[_Growing]) -> Tensor:
    return torch.tensor([each.boxes[-1].box for each in lesions]).reshape(-1, 4)


def _pixels_inside(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns whose centres lie in the box, at least one of each."""
    spans = []
    for low, high, count in zip(box[:2], box[2:], shape, strict=True):
        first = min(max(round(low), 0), count - 1)
        spans.append(slice(first, max(first + 1, min(round(high), count))))
    return spans[0], spans[1]


def _picture(seen: HU, box: Box, aspect: float) -> LesionPicture:
    """Cut the surroundings of a box, a square where the slice is large enough."""
    side = max(PICTURE_PX, round(PICTURE_BOXES * max(box[2] - box[0], box[3] - box[1])))
    corner = [
        min(max(round((low + high - side) / 2), 0), max(count - side, 0))
        for low, high, count in zip(box[:2], box[2:], seen.shape, strict=True)
    ]
    part = seen[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    return LesionPicture(part.astype(np.float32), (corner[0], corner[1]), aspect)
