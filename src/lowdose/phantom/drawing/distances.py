"""Compiled loops over the pixels of a slice: signed distances in mm (negative inside) and smooth random fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.physics.compiled import compiled

F32 = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Rows and columns (i0, i1, j0, j1) of a slice, ends excluded."""


@compiled()
def sample(out: F32, x: F32, y: F32, z: float, tile: F32, cell: tuple[float, float, float], shift: float) -> None:
    """Sample the periodic field ``tile`` (n, n, n), n a power of two, at positions in mm, into ``out`` (h, w).

    ``cell`` is the size (x, y, z) in mm of one cell of the field. ``shift`` displaces the field, in cells along z
    (1.7 and 2.3 times as far along x and y).
    """
    n = tile.shape[0] - 1
    w = z / cell[2] + 1000.0 + shift
    k = int(w)
    fz = np.float32(w - k)
    k0, k1 = k & n, (k + 1) & n
    ax, ay = np.float32(1.0 / cell[0]), np.float32(1.0 / cell[1])
    bx, by = np.float32(1000.0 + 1.7 * shift), np.float32(1000.0 + 2.3 * shift)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            u, v = x[i, j] * ax + bx, y[i, j] * ay + by
            a, b = int(u), int(v)
            fx, fy = u - np.float32(a), v - np.float32(b)
            a0, a1, b0, b1 = a & n, (a + 1) & n, b & n, (b + 1) & n
            low = tile[k0, b0, a0] + fx * (tile[k0, b0, a1] - tile[k0, b0, a0])
            low += fy * (tile[k0, b1, a0] + fx * (tile[k0, b1, a1] - tile[k0, b1, a0]) - low)
            high = tile[k1, b0, a0] + fx * (tile[k1, b0, a1] - tile[k1, b0, a0])
            high += fy * (tile[k1, b1, a0] + fx * (tile[k1, b1, a1] - tile[k1, b1, a0]) - high)
            out[i, j] = low + fz * (high - low)


@compiled(fastmath=True)
def _distance_to_polygon(px: float, py: float, polygon: F32) -> float:
    """Return the signed distance of a point from a closed polygon (n, 2)."""
    nearest = np.float32(1e9)
    inside = False
    n = polygon.shape[0]
    ax, ay = polygon[n - 1, 0], polygon[n - 1, 1]
    for k in range(n):
        bx, by = polygon[k, 0], polygon[k, 1]
        ex, ey, wx, wy = bx - ax, by - ay, px - ax, py - ay
        t = min(max((wx * ex + wy * ey) / (ex * ex + ey * ey + np.float32(1e-9)), np.float32(0.0)), np.float32(1.0))
        dx, dy = wx - t * ex, wy - t * ey
        nearest = min(nearest, dx * dx + dy * dy)
        if (ay > py) != (by > py) and px < ex * (py - ay) / ey + ax:
            inside = not inside
        ax, ay = bx, by
    distance = math.sqrt(nearest)
    return -distance if inside else distance


@compiled(fastmath=True)
def _smooth_minimum(a: float, b: float, blend: float) -> float:
    """Return the minimum of two distances, rounded over ``blend`` mm (polynomial smooth minimum of Quilez)."""
    if blend <= 0.0:
        return min(a, b)
    h = max(blend - abs(a - b), 0.0) / blend
    return min(a, b) - h * h * blend * 0.25


@compiled(fastmath=True)
def polygon_distance(d: F32, x: F32, y: F32, polygon: F32, box: Box, block: int, reach: float, blend: float) -> None:
    """Join a polygon (n, 2) in mm to the distances ``d``, in place.

    Distances are exact within ``reach`` mm of the edge, and interpolated between the corners of blocks of ``block``
    pixels farther away. ``box`` limits the pixels that are visited, ``blend`` rounds the joint over so many mm.
    """
    rows = (box[1] - box[0] + block - 1) // block + 1
    columns = (box[3] - box[2] + block - 1) // block + 1
    corners = np.empty((rows, columns), np.float32)
    for a in range(rows):
        for b in range(columns):
            i, j = min(box[0] + a * block, box[1] - 1), min(box[2] + b * block, box[3] - 1)
            corners[a, b] = _distance_to_polygon(x[i, j], y[i, j], polygon)
    for a in range(rows - 1):
        for b in range(columns - 1):
            i0, j0 = box[0] + a * block, box[2] + b * block
            i1, j1 = min(i0 + block, box[1] - 1), min(j0 + block, box[3] - 1)
            side = max(math.hypot(x[i0, j0] - x[i1, j1], y[i0, j0] - y[i1, j1]),
                       math.hypot(x[i0, j1] - x[i1, j0], y[i0, j1] - y[i1, j0]))  # fmt: skip
            p, q, r, s = corners[a, b], corners[a, b + 1], corners[a + 1, b], corners[a + 1, b + 1]
            far = min(min(abs(p), abs(q)), min(abs(r), abs(s))) > 0.6 * side + reach
            down, right = 1.0 / max(i1 - i0, 1), 1.0 / max(j1 - j0, 1)
            for i in range(i0, min(i0 + block, box[1])):
                t = (i - i0) * down
                left_d, right_d = p + t * (r - p), q + t * (s - q)
                for j in range(j0, min(j0 + block, box[3])):
                    if far:
                        here = left_d + (j - j0) * right * (right_d - left_d)
                    else:
                        here = _distance_to_polygon(x[i, j], y[i, j], polygon)
                    d[i, j] = _smooth_minimum(d[i, j], here, blend)


@compiled(fastmath=True)
def tube_distance(d: F32, x: F32, y: F32, z: float, rods: F32, boxes: NDArray[np.int32], blend: float) -> None:
    """Join rods to the distances ``d``, in place.

    ``rods`` (n, 8) holds the two ends (x, y, z) and the radius at each in mm, ``boxes`` (n, 4) the pixels that each rod
    may touch.
    """
    for k in range(rods.shape[0]):
        ax, ay, az, ra = rods[k, 0], rods[k, 1], rods[k, 2], rods[k, 6]
        ex, ey, ez = rods[k, 3] - ax, rods[k, 4] - ay, rods[k, 5] - az
        rb = rods[k, 7]
        inverse = 1.0 / (ex * ex + ey * ey + ez * ez + 1e-9)
        wz = z - az
        for i in range(boxes[k, 0], boxes[k, 1]):
            for j in range(boxes[k, 2], boxes[k, 3]):
                wx, wy = x[i, j] - ax, y[i, j] - ay
                t = min(max((wx * ex + wy * ey + wz * ez) * inverse, 0.0), 1.0)
                dx, dy, dz = wx - t * ex, wy - t * ey, wz - t * ez
                here = math.sqrt(dx * dx + dy * dy + dz * dz) - (ra + t * (rb - ra))
                d[i, j] = _smooth_minimum(d[i, j], here, blend)


@compiled(fastmath=True)
def ribbon_distance(d: F32, x: F32, y: F32, z: float, rods: F32, boxes: NDArray[np.int32], flat: float) -> None:
    """Join rods as ``tube_distance`` does, but ``flat`` times thinner across than up and down, as ribs are."""
    for k in range(rods.shape[0]):
        ax, ay, az, ra = rods[k, 0], rods[k, 1], rods[k, 2], rods[k, 6]
        ex, ey, ez = rods[k, 3] - ax, rods[k, 4] - ay, rods[k, 5] - az
        rb = rods[k, 7]
        inverse = 1.0 / (ex * ex + ey * ey + ez * ez + 1e-9)
        across = math.hypot(ex, ey) + 1e-6
        nx, ny = -ey / across, ex / across
        wz = z - az
        for i in range(boxes[k, 0], boxes[k, 1]):
            for j in range(boxes[k, 2], boxes[k, 3]):
                wx, wy = x[i, j] - ax, y[i, j] - ay
                t = min(max((wx * ex + wy * ey + wz * ez) * inverse, 0.0), 1.0)
                dx, dy, dz = wx - t * ex, wy - t * ey, wz - t * ez
                side = dx * nx + dy * ny
                other = math.sqrt(max(dx * dx + dy * dy + dz * dz - side * side, 0.0))
                radius = ra + t * (rb - ra)
                ratio = math.sqrt((side * flat) ** 2 + other * other) / radius
                # First-order distance: the excess of the ratio over 1, divided by its gradient.
                slope = math.sqrt((side * flat * flat) ** 2 + other * other) / (ratio * radius * radius + 1e-6)
                here = (ratio - 1.0) / max(slope, 1.0 / radius)
                d[i, j] = min(d[i, j], here)


@compiled(fastmath=True)
def ball_distance(d: F32, x: F32, y: F32, z: float, centre: F32, turn: F32, half: F32, box: Box, blend: float) -> None:
    """Join an ellipsoid to the distances ``d``, in place.

    ``turn`` (3, 3) rotates positions relative to the centre to its axes, ``half`` are its half axes in mm.
    """
    for i in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            wx, wy, wz = x[i, j] - centre[0], y[i, j] - centre[1], z - centre[2]
            k0, k1 = 0.0, 0.0
            for a in range(3):
                u = (turn[a, 0] * wx + turn[a, 1] * wy + turn[a, 2] * wz) / half[a]
                k0 += u * u
                k1 += (u / half[a]) ** 2
            k0, k1 = math.sqrt(k0), math.sqrt(k1)
            here = k0 * (k0 - 1.0) / (k1 + 1e-6)
            d[i, j] = _smooth_minimum(d[i, j], here, blend)


def smooth_noise(seed: int, side: int = 64) -> F32:
    """Generate a periodic random field (side, side, side) of mean 0 and SD 1, smooth over about two cells."""
    rng = np.random.default_rng((seed, 7919))
    f: Any = np.fft.fftfreq(side)
    r2 = f[:, None, None] ** 2 + f[None, :, None] ** 2 + np.fft.rfftfreq(side)[None, None, :] ** 2
    spectrum = np.fft.rfftn(rng.standard_normal((side,) * 3)) * np.exp(-2.0 * np.pi**2 * r2)
    spectrum[0, 0, 0] = 0.0
    field = np.fft.irfftn(spectrum, s=(side,) * 3, axes=(0, 1, 2))
    return np.asarray(field / field.std(), np.float32)
