"""Shapes that make up an organ, in mm of the patient (x to the left, y to the back, z to the head)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from lowdose.phantom.drawing import distances
from lowdose.phantom.drawing.distances import F32, Box
from lowdose.phantom.drawing.plane import Plane, Points

ARC = 5
"""Vertices per control point of a contour."""


@lru_cache
def _spline_weights(count: int) -> Points:
    """Return the weights (ARC * count, count) of a closed Catmull-Rom curve through ``count`` control points."""
    weights = np.zeros((count, ARC, count))
    for k in range(count):
        for a in range(ARC):
            t = a / ARC
            before, this = -0.5 * t + t**2 - 0.5 * t**3, 1 - 2.5 * t**2 + 1.5 * t**3
            following, after = 0.5 * t + 2 * t**2 - 1.5 * t**3, -0.5 * t**2 + 0.5 * t**3
            for b, value in enumerate((before, this, following, after)):
                weights[k, a, (k + b - 1) % count] += value
    return weights.reshape(count * ARC, count)


@dataclass(frozen=True)
class Loft:
    """A smooth closed contour that changes along z.

    Attributes
    ----------
    levels : (n,), mm
        Heights at which contours are given.
    contours : (n, points, 2), mm
        Control points (x, y) of the contours.
    cap : (below, above), mm
        Length over which the shape closes like a dome beyond its first and its last level.
    blend : mm
        Width over which the joint with the organ's other shapes is rounded.
    reach : mm
        Distance from the contour within which distances are exact.
    """

    levels: Points
    contours: Points
    cap: tuple[float, float] = (1.0, 1.0)
    blend: float = 0.0
    reach: float = 3.0
    _curve: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.levels)
        object.__setattr__(self, "levels", np.asarray(self.levels)[order])
        object.__setattr__(self, "contours", np.asarray(self.contours)[order])
        object.__setattr__(self, "_curve", PchipInterpolator(self.levels, self.contours, axis=0))

    @property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest z in mm."""
        return float(self.levels[0] - self.cap[0]), float(self.levels[-1] + self.cap[1])

    def section(self, z: float) -> Points | None:
        """Return the contour (n, 2) at height z in mm, or None beyond the ends of the shape."""
        low, high = float(self.levels[0]), float(self.levels[-1])
        beyond = (low - z) / self.cap[0] if z < low else (z - high) / self.cap[1] if z > high else 0.0
        if beyond >= 1.0:
            return None
        points: Points = self._curve(min(max(z, low), high))
        if beyond > 0.0:
            centre = points.mean(axis=0)
            points = centre + (points - centre) * np.sqrt(1.0 - beyond**2)
        return _spline_weights(len(points)) @ points

    def draw(self, d: F32, plane: Plane) -> Box:
        """Join the shape to the distances ``d`` in place and return the pixels that it may have changed."""
        outline = self.section(plane.z)
        if outline is None:
            return (0, 0, 0, 0)
        box = plane.box(outline.min(axis=0) - self.blend, outline.max(axis=0) + self.blend)
        block = min(max(int(6.0 / plane.pixel_mm), 2), 8)
        distances.polygon_distance(d, plane.x, plane.y, outline.astype(np.float32), box, block, self.reach, self.blend)
        return box

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Return which of the points (n, 3), (x, y, z) in mm, lie inside; heights are rounded to 2 mm."""
        heights = 2.0 * np.round(points[:, 2] / 2.0)
        inside = np.zeros(len(points), bool)
        for z in np.unique(heights):
            outline = self.section(float(z))
            if outline is not None:
                here = heights == z
                inside[here] = _inside(points[here], outline)
        return inside


def _inside(points: Points, outline: Points) -> NDArray[np.bool_]:
    """Return which points (n, 2 or more) lie inside a closed outline (m, 2), by the even-odd rule."""
    a, b = np.roll(outline, 1, axis=0), outline
    x, y = points[:, :1], points[:, 1:2]
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(crosses, b[:, 1] - a[:, 1], 1.0)
    crossing_x = a[:, 0] + (b[:, 0] - a[:, 0]) * (y - a[:, 1]) / rise
    return np.asarray((crosses & (x < crossing_x)).sum(axis=1) % 2 == 1)


@dataclass(frozen=True)
class Tube:
    """A chain or tree of rods with round ends.

    Attributes
    ----------
    rods : (n, 8), mm
        The two ends (x, y, z) of each rod and the radius at each.
    blend : mm
        Width over which joints are rounded.
    flat : relative
        Ratio of height to width; more than 1 makes a ribbon on edge.
    """

    rods: F32
    blend: float = 0.0
    flat: float = 1.0

    @cached_property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest z in mm."""
        low, high = self._z_range
        return float(low.min()), float(high.max())

    @cached_property
    def _z_range(self) -> tuple[F32, F32]:
        z, r = self.rods[:, (2, 5)], self.rods[:, 6:8].max(axis=1) + self.blend + 1.5
        return z.min(axis=1) - r, z.max(axis=1) + r

    def draw(self, d: F32, plane: Plane) -> Box:
        """Join the shape to the distances ``d`` in place and return the pixels that it may have changed."""
        low, high = self._z_range
        rods = self.rods[(low <= plane.z) & (high >= plane.z)]
        if len(rods) == 0:
            return (0, 0, 0, 0)
        r = rods[:, 6:8].max(axis=1) + self.blend + 1.0
        x, y = rods[:, (0, 3)], rods[:, (1, 4)]
        lows = np.stack([x.min(axis=1) - r, y.min(axis=1) - r], axis=1)
        highs = np.stack([x.max(axis=1) + r, y.max(axis=1) + r], axis=1)
        boxes = np.array([plane.box(a, b) for a, b in zip(lows.tolist(), highs.tolist(), strict=True)], np.int32)
        if self.flat > 1.0:
            distances.ribbon_distance(d, plane.x, plane.y, plane.z, rods, boxes, self.flat)
        else:
            distances.tube_distance(d, plane.x, plane.y, plane.z, rods, boxes, self.blend)
        return int(boxes[:, 0].min()), int(boxes[:, 1].max()), int(boxes[:, 2].min()), int(boxes[:, 3].max())


def tube(nodes: Sequence[Sequence[float]] | Points, *, blend: float = 0.0, flat: float = 1.0, step: int = 4) -> Tube:
    """Build a smooth tube through nodes (x, y, z, radius) in mm, with ``step`` rods between two nodes."""
    path = np.asarray(nodes, float)
    if len(path) > 2 and step > 1:
        # Parametrise by chord length, which avoids overshoot between unevenly spaced nodes.
        t = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1))])
        fine = np.concatenate([np.linspace(a, b, step, endpoint=False) for a, b in itertools.pairwise(t)])
        path = PchipInterpolator(t, path, axis=0)(np.append(fine, t[-1]))
    return Tube(_rods(path), blend, flat)


def _rods(path: Points) -> F32:
    return np.concatenate([path[:-1, :3], path[1:, :3], path[:-1, 3:4], path[1:, 3:4]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Ball:
    """An ellipsoid.

    Attributes
    ----------
    centre : (x, y, z), mm
        Centre.
    half : (x, y, z), mm
        Half axes.
    angles : degrees
        Rotation about z, then x, then y.
    blend : mm
        Width over which the joint with the organ's other shapes is rounded.
    """

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blend: float = 0.0

    @property
    def extent(self) -> tuple[float, float]:
        """Lowest and highest z in mm."""
        r = self._half_extent()[2]
        return self.centre[2] - r, self.centre[2] + r

    def _rotation(self) -> Points:
        a, b, c = np.radians(self.angles)
        about_z = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
        about_y = np.array([[np.cos(c), 0, -np.sin(c)], [0, 1, 0], [np.sin(c), 0, np.cos(c)]])
        return np.asarray(about_y @ about_x @ about_z, float)

    def _half_extent(self) -> Points:
        turned = self._rotation() * np.asarray(self.half)[:, None]
        return np.asarray(np.sqrt((turned**2).sum(axis=0)) + self.blend + 1.0, float)

    def draw(self, d: F32, plane: Plane) -> Box:
        """Join the shape to the distances ``d`` in place and return the pixels that it may have changed."""
        low, high = self.extent
        if not low <= plane.z <= high:
            return (0, 0, 0, 0)
        r = self._half_extent()
        box = plane.box(
            [c - a for c, a in zip(self.centre, r, strict=False)][:2],
            [c + a for c, a in zip(self.centre, r, strict=False)][:2],
        )
        centre, turn, half = (np.asarray(a, np.float32) for a in (self.centre, self._rotation(), self.half))
        distances.ball_distance(d, plane.x, plane.y, plane.z, centre, turn, half, box, self.blend)
        return box


Shape = Loft | Tube | Ball
