"""Scene of a patient: all organs in the order in which they are painted, and the slices rendered from them."""

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

THIN_SLICE_MM = 1.8
"""Slices up to this thickness are rendered as one plane; thicker ones as the mean of an odd number of planes."""


class Scene:
    """All organs of a patient in the order in which they are painted.

    ``hu`` holds the HU of each enhancing tissue, see ``lowdose.phantom.contrast_phases``.
    """

    def __init__(self, coordinates: BodyCoordinates, hu: dict[str, float]) -> None:
        self.coordinates = coordinates
        self.trunk = body.trunk(coordinates)
        self.organs = _organs(coordinates, self.trunk, hu)
        self._extents = [organ.extent for organ in self.organs]
        self.warp = Warp(coordinates.seed, coordinates.build)

    def slice(self, z: float, size: int, pixel: float, thickness: float) -> tuple[F32, NDArray[np.uint8]]:
        """Render HU and labels, both (size, size), of the slice centred at z mm."""
        axis = (np.arange(size) - (size - 1) / 2) * pixel
        if thickness <= THIN_SLICE_MM:
            canvas = self._paint_plane(z, axis, axis, pixel)
            return canvas.hu, canvas.labels
        count = 2 * int(np.ceil(thickness / 4.5)) + 1
        offsets = (np.arange(count) - count // 2) / count * thickness
        canvases = [self._paint_plane(z + offset, axis, axis, pixel) for offset in offsets.tolist()]
        return np.mean([canvas.hu for canvas in canvases], axis=0, dtype=np.float32), canvases[count // 2].labels

    def probe(self, place: Points, radius: float) -> NDArray[np.uint8]:
        """Return the labels (3, 9, 9) on a grid up to ``radius`` mm around a point (x, y, z) mm of the patient."""
        x, y, z = self.warp.to_image(place).tolist()
        steps = np.linspace(-radius, radius, 9)
        canvases = [self._paint_plane(z + lift * radius, x + steps, y + steps, radius / 4) for lift in (-1, 0, 1)]
        return np.stack([canvas.labels for canvas in canvases])

    def _paint_plane(self, z: float, x: Points, y: Points, pixel: float) -> Canvas:
        plane = self.warp.plane(z, x, y, pixel)
        canvas = Canvas(plane, self.warp.tiles)
        for organ, (low, high) in zip(self.organs, self._extents, strict=True):
            if low <= z <= high:
                canvas.paint(organ)
        canvas.table(self.trunk.lowest + 4.0)
        return canvas


def _organs(coordinates: BodyCoordinates, trunk: body.Trunk, hu: dict[str, float]) -> Sequence[Organ]:
    organs = [
        *body.outline(coordinates, trunk),
        *shoulder.muscles(coordinates),
        *lungs.lungs(coordinates),
        *lungs.lung_trees(coordinates, hu),
        *heart.heart(coordinates, hu),
        *viscera.diaphragm(coordinates),
        *neck.neck(coordinates),
        *muscles.muscles(coordinates),
        *pelvis.floor(coordinates),
        *bowel.mesentery(coordinates),
        *bowel.small_bowel(coordinates, trunk, hu),
        *abdominal_vessels.trunk_vessels(coordinates, hu),
        *pelvis.iliac_vessels(coordinates, hu),
        *bowel.colon(coordinates, hu),
        *viscera.left_upper(coordinates, hu),
        *bowel.stomach(coordinates, hu),
        *viscera.liver(coordinates, hu),
        *kidneys.kidneys(coordinates, hu),
        *abdominal_vessels.crura(coordinates),
        *abdominal_vessels.cava(coordinates, hu),
        *pelvis.organs_of_pelvis(coordinates, hu),
        *great_vessels.great_vessels(coordinates, hu),
        *neck.airways(coordinates, hu),
        *spine.spine(coordinates),
        *ribs.ribs(coordinates, trunk),
        *shoulder_bones.shoulders(coordinates),
        *hips.bones(coordinates),
    ]
    return [organ for organ in organs if organ.shapes]
