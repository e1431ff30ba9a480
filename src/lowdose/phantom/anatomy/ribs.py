"""Twelve pairs of ribs fitted to the chest wall, their cartilages, and the sternum."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.body import Trunk
from lowdose.phantom.anatomy.spine import TOPS, WIDE, at_height, bone, spine_y
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Shape, tube

_BONE_END_ANGLE = (20, 28, 31, 33, 34, 36, 38, 42, 50, 60, 95, 128)
"""Angle in degrees from the front at which the bone of each rib ends."""

_DESCENT = (26, 40, 52, 62, 72, 82, 92, 98, 96, 88, 72, 48)
"""Descent in mm of each rib from the spine to its end."""


def ribs(body: BodyCoordinates, trunk: Trunk) -> list[Organ]:
    """Return twelve pairs of ribs fitted to the inside of the chest wall, their cartilages, and the sternum."""
    organs = [
        Organ(LABELS["costal_cartilages"], _cartilages(body, trunk), Material(88, 4, 12, 8, wall_mm=0.6, wall_hu=115))
    ]
    for k in range(1, 13):
        for side, name in ((1, "left"), (-1, "right")):
            path = _rib(body, trunk, k, side)
            shape = tube(path, flat=1.75, step=1)
            organs.append(Organ(LABELS[f"rib_{name}_{k}"], [shape], bone(body, 1.25, 560, 0.8 * body.build.marrow)))
    return [*organs, _sternum(body)]


def _rib(body: BodyCoordinates, trunk: Trunk, k: int, side: int) -> np.ndarray:
    """Return the nodes (x, y, z, radius) in mm of rib ``k`` of the left (side 1) or right (-1)."""
    name = f"T{k}"
    z0 = TOPS[name] - 3.0
    neck = [(at_height(z0, WIDE) * side * 0.95, spine_y(z0) + 8, z0, 4.6), (30.0 * side, spine_y(z0) + 27, z0 + 1, 4.8)]
    placed = [(*body.place(np.array(p[:3])).tolist(), p[3] * body.scale) for p in neck]
    arc = np.radians(np.linspace(150, _BONE_END_ANGLE[k - 1], 16))
    size = (5.2 if k in (1, 11, 12) else 6.4) * body.scale
    for n, angle in enumerate(arc):
        z = (z0 - _DESCENT[k - 1] * (n / 15) ** 0.85 - 2) * body.build.size[2]
        x, y = _on_wall(trunk, z, float(angle), 4.6 * body.scale)
        placed.append((x * side, y, z, size))
    return np.array(placed)


def _on_wall(trunk: Trunk, z: float, angle: float, out: float) -> tuple[float, float]:
    """Return the point (x > 0, y) at ``angle`` from the front, ``out`` mm outside the inner surface of the wall."""
    ring = trunk.inner.section(z)
    if ring is None:
        ring = trunk.inner.section(float(np.clip(z, trunk.inner.levels[0], trunk.inner.levels[-1])))
        assert ring is not None
    middle = np.array([0.0, 8.0])
    ray = ring - middle
    angles = np.arctan2(ray[:, 0], -ray[:, 1])
    order = np.argsort(angles)
    radius = np.interp(angle, angles[order], np.linalg.norm(ray, axis=1)[order], period=2 * np.pi) + out
    return float(radius * np.sin(angle)), float(middle[1] - radius * np.cos(angle))


def _cartilages(body: BodyCoordinates, trunk: Trunk) -> list[Shape]:
    shapes: list[Shape] = []
    for k in range(1, 11):
        for side in (1, -1):
            end = _rib(body, trunk, k, side)[-1]
            shapes.append(tube(_cartilage(body, trunk, k, side, end), flat=1.35, step=3))
    return shapes


def _cartilage(body: BodyCoordinates, trunk: Trunk, k: int, side: int, end: np.ndarray) -> np.ndarray:
    """Return the nodes of the cartilage from the ``end`` of rib ``k`` to the sternum."""
    z1 = (252, 226, 206, 186, 166, 146, 126, 112, 96, 80)[k - 1] * body.build.size[2]
    x1 = (16, 16, 15, 16, 17, 17, 15, 28, 46, 64)[k - 1]
    angle0 = np.arctan2(abs(end[0]), 8 - end[1])
    x_wall = np.array([_on_wall(trunk, z1, float(a), 0.0)[0] for a in np.radians(np.linspace(0, 60, 40))])
    angle1 = np.radians(np.interp(x1 * body.scale, x_wall, np.linspace(0, 60, 40)))
    path = []
    for t in np.linspace(0, 1, 5):
        # The lower cartilages bend down a little before they rise.
        z = end[2] + (z1 - end[2]) * t - 14 * np.sin(np.pi * t) * (k > 4)
        x, y = _on_wall(trunk, z, float(angle0 + (angle1 - angle0) * t), 5.5 * body.scale)
        path.append((x * side, y, z, (6.2 - 0.6 * t) * body.scale))
    return np.array(path)


def _sternum(body: BodyCoordinates) -> Organ:
    levels = []
    for z, y, wide, deep in (
        (264, -60, 24, 6),
        (250, -68, 27, 7),
        (222, -88, 17, 6),
        (190, -99, 15, 5),
        (150, -104, 18, 5),
        (118, -100, 15, 4.5),
        (104, -95, 6, 3),
    ):
        ring = [(0, y - deep), (0.6 * wide, y - deep + 0.5), (wide, y), (0.6 * wide, y + deep - 0.5), (0, y + deep)]
        levels.append((z, ring))
    return Organ(
        LABELS["sternum"], [body.loft(levels, half=True, cap=(8, 3))], bone(body, 1.2, 420, 0.7 * body.build.marrow)
    )
