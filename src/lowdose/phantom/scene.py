"""All of a patient's organs in the order they lie over each other, and the slices cut from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowdose.phantom.anatomy import (
    abdominal_vessels,
    body,
    bowel,
    great_vessels,
    heart,
    hips,
    kidneys,
    lungs,
    muscles,
    neck,
    pelvis,
    ribs,
    shoulder,
    shoulder_bones,
    spine,
    viscera,
)
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Canvas, Organ
from lowdose.phantom.drawing.distances import F32
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.warp import Warp

SUB_MM = 1.8
"""A slice no thicker than this is one cut; a thicker one is the mean of an odd number of cuts."""


class Scene:
    """All organs of a patient in the order they are painted; slices are cut from it."""

    def __init__(self, frame: BodyCoordinates, hu: dict[str, float]) -> None:
        self.frame = frame
        self.trunk = body.trunk(frame)
        self.organs = _organs(frame, self.trunk, hu)
        self._extents = [organ.extent for organ in self.organs]
        self.warp = Warp(frame.seed, frame.build)

    def slice(self, z: float, size: int, pixel: float, thickness: float) -> tuple[F32, NDArray[np.uint8]]:
        """(hu, labels), both (size, size), of the slice centred at z mm."""
        axis = (np.arange(size) - (size - 1) / 2) * pixel
        if thickness <= SUB_MM:
            canvas = self._cut(z, axis, axis, pixel)
            return canvas.hu, canvas.labels
        count = 2 * int(np.ceil(thickness / 4.5)) + 1
        offsets = (np.arange(count) - count // 2) / count * thickness
        parts = [self._cut(z + offset, axis, axis, pixel) for offset in offsets.tolist()]
        return np.mean([part.hu for part in parts], axis=0, dtype=np.float32), parts[count // 2].labels

    def probe(self, place: Points, radius: float) -> NDArray[np.uint8]:
        """Labels (3, 9, 9) of the places up to ``radius`` mm around a place (x, y, z) mm of the patient."""
        x, y, z = self.warp.to_image(place).tolist()
        steps = np.linspace(-radius, radius, 9)
        cuts = [self._cut(z + lift * radius, x + steps, y + steps, radius / 4) for lift in (-1, 0, 1)]
        return np.stack([cut.labels for cut in cuts])

    def _cut(self, z: float, x: Points, y: Points, pixel: float) -> Canvas:
        plane = self.warp.plane(z, x, y, pixel)
        canvas = Canvas(plane, self.warp.tiles)
        for organ, (low, high) in zip(self.organs, self._extents, strict=True):
            if low <= z <= high:
                canvas.paint(organ)
        canvas.table(self.trunk.lowest + 4.0)
        return canvas


def _organs(frame: BodyCoordinates, trunk: body.Trunk, hu: dict[str, float]) -> Sequence[Organ]:
    organs = [
        *body.outline(frame, trunk),
        *shoulder.muscles(frame),
        *lungs.lungs(frame),
        *lungs.lung_trees(frame, hu),
        *heart.heart(frame, hu),
        *viscera.diaphragm(frame),
        *neck.neck(frame),
        *muscles.muscles(frame),
        *pelvis.floor(frame),
        *bowel.mesentery(frame),
        *bowel.small_bowel(frame, trunk, hu),
        *abdominal_vessels.trunk_vessels(frame, hu),
        *pelvis.iliac_vessels(frame, hu),
        *bowel.colon(frame, hu),
        *viscera.left_upper(frame, hu),
        *bowel.stomach(frame, hu),
        *viscera.liver(frame, hu),
        *kidneys.kidneys(frame, hu),
        *abdominal_vessels.crura(frame),
        *abdominal_vessels.cava(frame, hu),
        *pelvis.organs_of_pelvis(frame, hu),
        *great_vessels.great_vessels(frame, hu),
        *neck.airways(frame, hu),
        *spine.spine(frame),
        *ribs.ribs(frame, trunk),
        *shoulder_bones.shoulders(frame),
        *hips.bones(frame),
    ]
    return [organ for organ in organs if organ.shapes]
