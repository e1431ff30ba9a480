"""Warp from image to patient: off-centre, rolled, and smoothly deformed so that no shape is ideal."""

from __future__ import annotations

import numpy as np

from lowdose.phantom.body_coordinates import Build
from lowdose.phantom.drawing.distances import F32, sample, smooth_noise
from lowdose.phantom.drawing.plane import Plane, Points

_DEFORMATIONS = ((55.0, 2.2), (16.0, 0.6))
"""Cell size of each random displacement field and SD of the displacement, both in mm."""


class Warp:
    """Mapping between the image and the body of one patient; ``tiles`` are its random displacement fields."""

    def __init__(self, seed: int, build: Build) -> None:
        self.build = build
        self.tiles = [smooth_noise(2 * seed + k) for k in range(2)]

    def plane(self, z: float, x: Points, y: Points, pixel_mm: float) -> Plane:
        """Return the slice at z mm with columns at x (w,) and rows at y (h,), in mm in the image."""
        right = (x - self.build.centre[0])[None, :]
        down = (y - self.build.centre[1])[:, None]
        c, s = np.cos(self.build.roll), np.sin(self.build.roll)
        u, v = (c * right - s * down).astype(np.float32), (s * right + c * down).astype(np.float32)
        u, v = self._deform(u, v, z)
        corner = (float(down[0, 0]), float(right[0, 0]))
        return Plane(u, v, z, pixel_mm, corner, self.build.roll, 9.0)

    def _deform(self, u: F32, v: F32, z: float) -> tuple[F32, F32]:
        for cell, sd in _DEFORMATIONS:
            displacements = []
            for k, tile in enumerate(self.tiles):
                field = np.empty_like(u)
                sample(field, u, v, z, tile, (cell, cell, cell), 31.0 * k + cell)
                displacements.append(field * np.float32(sd))
            u, v = u + displacements[0], v + displacements[1]
        return u, v

    def to_image(self, point: Points) -> Points:
        """Map a point (x, y, z) in mm from the patient to the image, inverting ``plane`` by fixed-point iteration."""
        target = np.asarray(point[:2], np.float64)
        guess = target.copy()
        for _ in range(12):
            u, v = (np.array([[g]], np.float32) for g in guess)
            deformed = np.concatenate(self._deform(u, v, float(point[2])))[:, 0]
            guess = guess + (target - deformed)
        c, s = np.cos(self.build.roll), np.sin(self.build.roll)
        x, y = c * guess[0] + s * guess[1], c * guess[1] - s * guess[0]
        return np.array([x + self.build.centre[0], y + self.build.centre[1], point[2]])
