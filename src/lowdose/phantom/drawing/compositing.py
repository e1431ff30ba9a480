"""Laying tissues over each other on one slice: edges of partial volume, walls, cortex, texture, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowdose.phantom.drawing.distances import F32, Box, sample
from lowdose.phantom.drawing.plane import Plane
from lowdose.phantom.drawing.rasterise import FAR, NOTHING, PLAIN, rasterise_couch, rasterise_organ
from lowdose.phantom.drawing.shapes import Shape

CELLS = ((0.75, 0.75, 0.75), (2.2, 2.2, 2.2), (7.0, 7.0, 9.0), (8.0, 6.5, 40.0))
"""Cell of each texture field in mm: grain, mottle, clouds, and the planes of fat between muscles (long along z)."""


@dataclass(frozen=True)
class Material:
    """How the inside of a shape looks: hu and the SD of three textures in HU; a wall of some mm with its own HU.

    kind: what else is in it (NAME: nothing, only the label changes). share: how much of that (gas in faeces, fat in
    muscle). gas_y: contents above (at a smaller y, mm of the patient) are gas.
    """

    hu: float
    grain: float = 0.0
    mottle: float = 0.0
    clouds: float = 0.0
    wall_mm: float = 0.0
    wall_hu: float = 0.0
    kind: int = PLAIN
    share: float = 0.0
    gas_y: float = -FAR


@dataclass(frozen=True)
class Organ:
    """Shapes joined, less those carved out, of one material. label 0 keeps the labels that are there.

    clip: name of the region it must stay within. keep: name under which later organs may clip to this one.
    inset: mm it keeps from that region's edge. rough: SD in mm of the unevenness of its surface.
    """

    label: int
    shapes: Sequence[Shape]
    material: Material
    carve: Sequence[Shape] = ()
    clip: str = ""
    keep: str = ""
    inset: float = 0.0
    rough: float = 0.0

    @property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest z, mm, it reaches."""
        lows, highs = zip(*(shape.extent for shape in self.shapes), strict=True)
        return min(lows), max(highs)


class Canvas:
    """One slice being painted: hu (h, w), labels (h, w)."""

    def __init__(self, plane: Plane, tiles: Sequence[F32]) -> None:
        shape = plane.x.shape
        self.plane = plane
        self.hu = np.full(shape, -1000.0, np.float32)
        self.labels = np.zeros(shape, np.uint8)
        self._d, self._cut = np.full(shape, FAR, np.float32), np.full(shape, FAR, np.float32)
        self._regions: dict[str, F32] = {"": np.full(shape, -FAR, np.float32)}
        self._nowhere = np.full(shape, FAR, np.float32)
        self.texture = np.zeros((len(CELLS), *shape), np.float32)
        for k, cell in enumerate(CELLS):
            sample(self.texture[k], plane.x, plane.y, plane.z, tiles[k % len(tiles)], cell, 17.0 * k)

    def paint(self, organ: Organ) -> None:
        """Lays the organ over what is there."""
        box = _drawn(self._d, organ.shapes, self.plane)
        if box[0] < box[1] and box[2] < box[3]:
            here = np.s_[box[0] : box[1], box[2] : box[3]]
            if organ.carve:
                cut = _drawn(self._cut, organ.carve, self.plane)
                away = np.s_[cut[0] : cut[1], cut[2] : cut[3]]
                np.maximum(self._d[away], -self._cut[away], out=self._d[away])
                self._cut[away] = FAR
            region = self._regions.get(organ.clip, self._nowhere)
            if organ.material.kind != NOTHING:
                self._fill(organ, region, here, box)
            if organ.keep:
                inside = np.maximum(self._d[here], region[here] + organ.inset)
                self._regions[organ.keep] = self._nowhere.copy()
                self._regions[organ.keep][here] = inside
            self._d[here] = FAR

    def table(self, top: float) -> None:
        """A curved couch below the patient: ``top`` is the y in mm of its lowest line."""
        rasterise_couch(self.hu, self.labels, self.plane.pixel_mm, self.plane.corner, top)

    def _fill(self, organ: Organ, region: F32, here: tuple[slice, slice], box: Box) -> None:
        m = organ.material
        # An array, because whole numbers among floats in a tuple would have the loop compiled for each such pattern.
        numbers = np.array(
            (m.hu, m.grain, m.mottle, m.clouds, m.wall_mm, m.wall_hu, m.share, m.gas_y, organ.rough, organ.inset)
        )
        top, left = (c + b * self.plane.pixel_mm for c, b in zip(self.plane.corner, (box[0], box[2]), strict=True))
        textures = self.texture[:, here[0], here[1]]
        rasterise_organ(
            self.hu[here], self.labels[here], self._d[here], region[here], textures, float(self.plane.pixel_mm),
            float(top), float(left), m.kind, organ.label, numbers,
        )  # fmt: skip


def _drawn(d: F32, shapes: Sequence[Shape], plane: Plane) -> Box:
    boxes = []
    for shape in shapes:
        low, high = shape.extent
        if low <= plane.z <= high:
            boxes.append(shape.draw(d, plane))
    boxes = [box for box in boxes if box[0] < box[1] and box[2] < box[3]]
    if not boxes:
        return (0, 0, 0, 0)
    i0, i1, j0, j1 = zip(*boxes, strict=True)
    return min(i0), max(i1), min(j0), max(j1)
