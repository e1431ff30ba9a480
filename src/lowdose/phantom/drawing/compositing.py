"""Compositing of tissues on one slice, with partial-volume edges, walls, cortex, texture and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowdose.phantom.drawing.distances import F32, Box, sample
from lowdose.phantom.drawing.plane import Plane
from lowdose.phantom.drawing.rasterise import FAR, PLAIN, REGION_ONLY, rasterise_couch, rasterise_organ
from lowdose.phantom.drawing.shapes import Shape

CELLS = ((0.75, 0.75, 0.75), (2.2, 2.2, 2.2), (7.0, 7.0, 9.0), (8.0, 6.5, 40.0))
"""Cell size (x, y, z) of each texture field in mm: grain, mottle, clouds, and fat planes in muscle (long along z)."""


@dataclass(frozen=True)
class Material:
    """Content of a shape.

    Attributes
    ----------
    hu : HU
        Mean value.
    grain, mottle, clouds : HU
        SD of the fine, the medium and the coarse texture.
    wall_mm : mm
        Thickness of the wall (or cortex); 0 for none.
    wall_hu : HU
        Value of the wall.
    kind : int
        Structures inside, one of the constants of ``rasterise``; LABEL_ONLY changes only the label, REGION_ONLY paints
        nothing.
    share : relative
        Amount of those structures: fat in muscle, strands in fat; in faeces the more, the less gas.
    gas_y : mm
        Contents above this level (at a smaller y of the patient) are gas.
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
    """The union of shapes of one material.

    Attributes
    ----------
    label : int
        Anatomical label; 0 keeps the labels underneath.
    shapes : sequence of Shape
        Shapes that are joined.
    material : Material
        Content.
    carve : sequence of Shape
        Shapes that are cut out.
    clip : str
        Name of the region that the organ must stay within.
    keep : str
        Name under which later organs can use this one as a region.
    inset : mm
        Distance that the organ keeps from the edge of its region.
    rough : mm
        SD of the unevenness of its surface.
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
        """Lowest and highest z in mm."""
        lows, highs = zip(*(shape.extent for shape in self.shapes), strict=True)
        return min(lows), max(highs)


class Canvas:
    """One slice on which organs are painted: ``hu`` (h, w) and ``labels`` (h, w), at first air without a label.

    ``tiles`` are the periodic random fields from which textures are sampled.
    """

    def __init__(self, plane: Plane, tiles: Sequence[F32]) -> None:
        shape = plane.x.shape
        self.plane = plane
        self.hu = np.full(shape, -1000.0, np.float32)
        self.labels = np.zeros(shape, np.uint8)
        self._distance, self._carve_distance = np.full(shape, FAR, np.float32), np.full(shape, FAR, np.float32)
        self._regions: dict[str, F32] = {"": np.full(shape, -FAR, np.float32)}
        self._outside = np.full(shape, FAR, np.float32)
        self.texture = np.zeros((len(CELLS), *shape), np.float32)
        for k, cell in enumerate(CELLS):
            sample(self.texture[k], plane.x, plane.y, plane.z, tiles[k % len(tiles)], cell, 17.0 * k)

    def paint(self, organ: Organ) -> None:
        """Paint the organ over what is there."""
        box = _draw_shapes(self._distance, organ.shapes, self.plane)
        if box[0] < box[1] and box[2] < box[3]:
            here = np.s_[box[0] : box[1], box[2] : box[3]]
            if organ.carve:
                carve_box = _draw_shapes(self._carve_distance, organ.carve, self.plane)
                carved = np.s_[carve_box[0] : carve_box[1], carve_box[2] : carve_box[3]]
                np.maximum(self._distance[carved], -self._carve_distance[carved], out=self._distance[carved])
                self._carve_distance[carved] = FAR
            region = self._regions.get(organ.clip, self._outside)
            if organ.material.kind != REGION_ONLY:
                self._fill(organ, region, here, box)
            if organ.keep:
                inside = np.maximum(self._distance[here], region[here] + organ.inset)
                self._regions[organ.keep] = self._outside.copy()
                self._regions[organ.keep][here] = inside
            self._distance[here] = FAR

    def table(self, top: float) -> None:
        """Paint a curved couch below the patient; ``top`` is the y in mm of the lowest line of its surface."""
        rasterise_couch(self.hu, self.labels, self.plane.pixel_mm, self.plane.corner, top)

    def _fill(self, organ: Organ, region: F32, here: tuple[slice, slice], box: Box) -> None:
        m = organ.material
        # An array, because a tuple with integers among floats would make Numba compile anew for each such pattern.
        numbers = np.array(
            (m.hu, m.grain, m.mottle, m.clouds, m.wall_mm, m.wall_hu, m.share, m.gas_y, organ.rough, organ.inset)
        )
        top, left = (c + b * self.plane.pixel_mm for c, b in zip(self.plane.corner, (box[0], box[2]), strict=True))
        textures = self.texture[:, here[0], here[1]]
        rasterise_organ(
            self.hu[here], self.labels[here], self._distance[here], region[here], textures, float(self.plane.pixel_mm),
            float(top), float(left), m.kind, organ.label, numbers,
        )  # fmt: skip


def _draw_shapes(d: F32, shapes: Sequence[Shape], plane: Plane) -> Box:
    """Join the shapes to the distances ``d`` in place and return the pixels that may have changed."""
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
