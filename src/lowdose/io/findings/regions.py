"""What is marked in a slice: a box or mask in a picture, or outlines in the patient; and the pixels that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from lowdose.boxes import Box, mask_box
from lowdose.errors import GeometryMismatch
from lowdose.image import Mask, Vector
from lowdose.io.findings.finding import Part
from lowdose.io.source import Plane

TOUCHING = np.ones((3, 3), bool)
"""Pixels that share an edge or a corner belong together."""
Points = NDArray[np.float64]

RADIOLOGICAL: tuple[Vector, Vector] = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Down the rows and along the columns of a picture as radiologists see it: to the back and to the patient's left."""
PARALLEL = 0.9
"""Least cosine of the angle between two axes that are taken for the same."""


@dataclass(frozen=True)
class PictureBox:
    """Box in a picture of the slice.

    Attributes
    ----------
    box : Box
        Edges in pixels of the picture.
    shape : tuple of 2 int or None
        Rows and columns of the picture, where they are stated.
    axes : tuple of 2 unit vectors or None
        Where its rows and columns run to in LPS; None = as those of the slice.
    """

    box: Box
    shape: tuple[int, int] | None = None
    axes: tuple[Vector, Vector] | None = None

    def on(self, plane: Plane) -> list[Part]:
        """Return the box in the pixels of a slice, without what lies outside of it."""
        if self.shape is not None and self.shape != plane.shape:
            raise GeometryMismatch(
                f"a box is stated in a picture of {self.shape[0]} x {self.shape[1]} pixels, but the slice has "
                f"{plane.shape[0]} x {plane.shape[1]}; state it in the pixels of the slice"
            )
        box = np.array(self.box).reshape(2, 2)
        if self.axes is not None and plane.axes is not None:
            box = _turned(box, self.axes, plane)
        box = np.clip(box, 0, plane.shape)
        top, left, bottom, right = (float(edge) for edge in box.ravel())
        return [Part((top, left, bottom, right))] if bottom > top and right > left else []


def _turned(box: Points, axes: tuple[Vector, Vector], plane: Plane) -> Points:
    """Return a box ((top, left), (bottom, right)) of a picture with these axes in the pixels of a slice."""
    cosines = np.array(plane.axes) @ np.array(axes).T
    if (np.abs(cosines).max(axis=1) < PARALLEL).any():
        raise GeometryMismatch(f"a box is stated in an axial picture, but the slice runs along {plane.axes}")
    source = np.abs(cosines).argmax(axis=1)
    turned = box[:, source]
    for axis in range(2):
        if cosines[axis, source[axis]] < 0:
            turned[:, axis] = plane.shape[axis] - turned[::-1, axis]
    return turned


@dataclass(frozen=True)
class PixelMask:
    """Pixels of an image of the slice.

    Attributes
    ----------
    inside : (h, w) array of bool
        Which pixels belong to the finding.
    corner : tuple of 2 int
        Row and column of its first pixel in the image.
    image : Plane or None
        The image: its shape, and where it lies; without a place, its pixels are those of the slice. None = its shape is
        not stated either.
    """

    inside: Mask
    corner: tuple[int, int]
    image: Plane | None

    def on(self, plane: Plane) -> list[Part]:
        """Return the parts in the pixels of a slice; a pixel belongs to the finding if its centre does."""
        if self.image is not None and has_place(self.image) and has_place(plane):
            return parts(*self._resampled(self.image, plane))
        if self.image is not None and self.image.shape != plane.shape:
            raise GeometryMismatch(
                f"a mask of {self.image.shape[0]} x {self.image.shape[1]} pixels was drawn on a slice of "
                f"{plane.shape[0]} x {plane.shape[1]}; give the series that it was drawn on"
            )
        rows, columns = (max(0, size - first) for size, first in zip(plane.shape, self.corner, strict=True))
        return parts(self.inside[:rows, :columns], self.corner)

    def _resampled(self, image: Plane, plane: Plane) -> tuple[Mask, tuple[int, int]]:
        """Return the mask in the pixels of a slice, and the row and column of its first pixel."""
        edges = np.array(self.corner) + np.array([(-0.5, -0.5), np.array(self.inside.shape) - 0.5])
        corners = np.array([(row, column) for row in edges[:, 0] for column in edges[:, 1]])
        there = to_pixels(plane, to_mm(image, corners))
        first = np.clip(np.floor(there.min(axis=0)).astype(int), 0, plane.shape)
        last = np.clip(np.ceil(there.max(axis=0)).astype(int) + 1, first, plane.shape)
        grid = np.indices(last - first).reshape(2, -1).T + first
        here = np.rint(to_pixels(image, to_mm(plane, grid))).astype(int) - self.corner
        known = ((here >= 0) & (here < self.inside.shape)).all(axis=1)
        found = np.zeros(len(grid), bool)
        found[known] = self.inside[tuple(here[known].T)]
        return found.reshape(last - first), (int(first[0]), int(first[1]))


@dataclass(frozen=True)
class Outlines:
    """Closed outlines in the patient, of which one inside another is a hole.

    Attributes
    ----------
    points : tuple of (n, 3) arrays, mm
        Corners of each, (x, y, z) in LPS.
    """

    points: tuple[Points, ...]

    def on(self, plane: Plane) -> list[Part]:
        """Return the parts in the pixels of a slice; a pixel belongs to the finding if its centre lies inside."""
        if not has_place(plane):
            raise GeometryMismatch("outlines are stated in mm, but the slice does not state where it lies")
        return outlined([to_pixels(plane, points) for points in self.points], plane.shape)


def outlined(outlines: Sequence[Points], shape: tuple[int, int]) -> list[Part]:
    """Return what closed outlines enclose in a slice, each (n, 2) rows and columns where centres of pixels are whole.

    An outline so small that no centre lies inside has the box around its corners.
    """
    corners = np.concatenate(outlines)
    first = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, shape)
    last = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, first, shape)
    inside = np.zeros(last - first, bool)
    for outline in outlines:
        inside ^= polygon2mask(inside.shape, outline - first)  # type: ignore[no-untyped-call]
    if inside.any():
        return parts(inside, (int(first[0]), int(first[1])))
    edges = np.concatenate([corners.min(axis=0), corners.max(axis=0)]) + 0.5
    return PictureBox((float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3]))).on(Plane(shape))


def parts(inside: Mask, corner: tuple[int, int]) -> list[Part]:
    """Return the connected parts of a mask whose first pixel lies in this row and column of a slice."""
    if not inside.any():
        return []
    labelled, _ = ndimage.label(inside, TOUCHING)
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labelled), 1):
        top, left = float(rows.start + corner[0]), float(columns.start + corner[1])
        bottom, right = float(rows.stop + corner[0]), float(columns.stop + corner[1])
        found.append(Part((top, left, bottom, right), labelled[rows, columns] == number))
    return found


def cropped_mask(mask: Mask, image: Plane | None, first: tuple[int, int] = (0, 0)) -> PixelMask:
    """Return a mask, of which at least one pixel is True, without the rows and columns around it.

    first: row and column of its first pixel in the image.
    """
    top, left, bottom, right = (int(edge) for edge in mask_box(mask))
    return PixelMask(mask[top:bottom, left:right].copy(), (top + first[0], left + first[1]), image)


def has_place(plane: Plane) -> bool:
    """Return whether it is known where the pixels of a slice lie in the patient."""
    return plane.corner is not None and plane.axes is not None and plane.pixel_mm is not None


def to_mm(plane: Plane, pixels: NDArray[np.generic]) -> Points:
    """Return where (n, 2) rows and columns of a slice that has a place lie, (n, 3) mm."""
    assert plane.corner is not None
    return np.asarray(np.array(plane.corner) + (pixels * np.array(plane.pixel_mm)) @ np.array(plane.axes))


def to_pixels(plane: Plane, points: Points) -> Points:
    """Return the rows and columns, (n, 2), of (n, 3) points in mm in a slice that has a place."""
    assert plane.corner is not None
    return np.asarray((points - np.array(plane.corner)) @ np.array(plane.axes).T / np.array(plane.pixel_mm))
