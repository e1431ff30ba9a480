"""Where the pixels of an image lie in a patient: off-centre, rolled, and smoothly bent so that no shape is ideal."""

from __future__ import annotations

import numpy as np

from lowdose.phantom.body_coordinates import Build
from lowdose.phantom.drawing.distances import F32, sample, smooth_noise
from lowdose.phantom.drawing.plane import Plane, Points

_BENDS = ((55.0, 2.2), (16.0, 0.6))
"""Cell of the random field and SD of the shift it makes, both mm."""


class Warp:
    """Of one patient: the random fields (``tiles``) and the way from image to patient and back."""

    def __init__(self, seed: int, build: Build) -> None:
        self.build = build
        self.tiles = [smooth_noise(2 * seed + k) for k in range(2)]

    def plane(self, z: float, x: Points, y: Points, pixel_mm: float) -> Plane:
        """The slice at z mm with columns at x (w,) and rows at y (h,), mm in the image."""
        right = (x - self.build.centre[0])[None, :]
        down = (y - self.build.centre[1])[:, None]
        c, s = np.cos(self.build.roll), np.sin(self.build.roll)
        u, v = (c * right - s * down).astype(np.float32), (s * right + c * down).astype(np.float32)
        u, v = self._bent(u, v, z)
        corner = (float(down[0, 0]), float(right[0, 0]))
        return Plane(u, v, z, pixel_mm, corner, self.build.roll, 9.0)

    def _bent(self, u: F32, v: F32, z: float) -> tuple[F32, F32]:
        for cell, reach in _BENDS:
            moves = []
            for k, tile in enumerate(self.tiles):
                field = np.empty_like(u)
                sample(field, u, v, z, tile, (cell, cell, cell), 31.0 * k + cell)
                moves.append(field * np.float32(reach))
            u, v = u + moves[0], v + moves[1]
        return u, v

    def to_image(self, point: Points) -> Points:
        """(x, y, z) mm in the image of a place in the patient: the inverse of ``plane`` by fixed-point steps."""
        aim = np.asarray(point[:2], np.float64)
        guess = aim.copy()
        for _ in range(12):
            u, v = (np.array([[g]], np.float32) for g in guess)
            bent = np.concatenate(self._bent(u, v, float(point[2])))[:, 0]
            guess = guess + (aim - bent)
        c, s = np.cos(self.build.roll), np.sin(self.build.roll)
        x, y = c * guess[0] + s * guess[1], c * guess[1] - s * guess[0]
        return np.array([x + self.build.centre[0], y + self.build.centre[1], point[2]])
