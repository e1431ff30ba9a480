"""Detection of lesions in a series, slice by slice as it is read or denoised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lowdose.boxes import Box, around, longer_side
from lowdose.image import AIR, HU, Slice
from lowdose.infer.lesion_linking import link_boxes
from lowdose.infer.lesions import DetectedLesion, LesionBox, LesionPicture, centre_mm, extent_mm
from lowdose.io.neighbours import linked_slices
from lowdose.io.source import Source
from lowdose.networks.detection.detector import Detections, LesionDetector

SHOWN = 24
"""Lesions of which a picture is kept, those with the best scores."""
AIR_BELOW_HU = -950.0
"""Mean HU of the series below which a box holds nothing but air: lungs have more, unless emphysema destroyed them."""
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
    (``lesion_linking.link_boxes``). Boxes that hold nothing but air, beside the patient or in the airways, are dropped.
    Of the slices nothing is kept but the surroundings of the best lesions.

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
        depths = [thickness, source.geometry.spacing[0] if source.geometry else None]
        self._depth = min((depth for depth in depths if depth), default=None)
        self._follows = [False, *linked_slices(source.planes, thickness)]
        self._next = 0
        self._open: list[_Growing] = []
        self._ended: list[_Growing] = []

    def write(self, original: Slice, hu: HU) -> None:
        """Look at the next slice: ``hu``, (y, x) in HU, is what the detector sees of ``original``."""
        seen = np.where(original.valid, hu, AIR)
        found = self._detector.detect(torch.from_numpy(seen)[None, None].float().to(self._device))[0]
        boxes = self._boxes(found, original)
        before = self._open if self._follows[self._next] else []
        continued = link_boxes(_tensor([each.boxes[-1] for each in before]), _tensor([each for each, _ in boxes]))
        growing = []
        for number, (box, values) in enumerate(boxes):
            lesion = before[continued[number]] if number in continued else _Growing()
            if not lesion.boxes or box.score > lesion.score:
                lesion.picture = _picture(seen, box.box, original.aspect)
            lesion.boxes.append(box)
            lesion.hu_sum += float(values.sum(dtype=np.float64))
            lesion.pixels += values.size
            growing.append(lesion)
        self._end([each for each in self._open if not any(each is other for other in growing)])
        self._open, self._next = growing, self._next + 1

    def lesions(self) -> list[DetectedLesion]:
        """Return what was found, best first."""
        found = sorted([*self._ended, *self._open], key=lambda each: -each.score)
        return [self._finished(each, place < SHOWN) for place, each in enumerate(found)]

    def _boxes(self, found: Detections, original: Slice) -> list[tuple[LesionBox, HU]]:
        """Return the boxes of the next slice that count, with the HU of the series inside, without padding."""
        boxes = []
        for edges, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
            box = LesionBox(self._next, (edges[0], edges[1], edges[2], edges[3]), score)
            inside = _pixels_inside(box.box, original.hu.shape)
            values = original.hu[inside][original.valid[inside]]
            if score >= self._least_score and values.size and values.mean(dtype=np.float64) >= AIR_BELOW_HU:
                boxes.append((box, values))
        return boxes

    def _end(self, lesions: list[_Growing]) -> None:
        self._ended = sorted([*self._ended, *lesions], key=lambda each: -each.score)
        for lesion in self._ended[SHOWN:]:
            lesion.picture = None

    def _finished(self, lesion: _Growing, shown: bool) -> DetectedLesion:
        return DetectedLesion(
            tuple(lesion.boxes),
            lesion.hu_sum / lesion.pixels,
            extent_mm(lesion.boxes, self._planes, self._depth),
            centre_mm(lesion.boxes, self._planes),
            lesion.picture if shown else None,
        )


def _tensor(boxes: Sequence[LesionBox]) -> Tensor:
    return torch.tensor([each.box for each in boxes]).reshape(-1, 4)


def _pixels_inside(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns whose centres lie in the box, at least one of each."""
    spans = []
    for low, high, count in zip(box[:2], box[2:], shape, strict=True):
        first = min(max(round(low), 0), count - 1)
        spans.append(slice(first, max(first + 1, min(round(high), count))))
    return spans[0], spans[1]


def _picture(seen: HU, box: Box, aspect: float) -> LesionPicture:
    """Cut the surroundings of a box, a square where the slice is large enough."""
    side = max(PICTURE_PX, round(PICTURE_BOXES * longer_side(box)))
    rows, columns = around(box, side, seen.shape)
    return LesionPicture(seen[rows, columns].astype(np.float32), (rows.start, columns.start), aspect)
