"""Lobes of the lungs, with the trees of arteries, veins and bronchi."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.vessels import grow, scatter
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.rasterise import LUNG
from lowdose.phantom.drawing.shapes import Loft

_LEFT = (  # wider than the chest wall laterally, since the wall bounds the lung there
    (276, ((17, 4), (22, -18), (36, -34), (56, -34), (76, -8), (74, 22), (54, 44), (34, 42), (22, 28), (18, 14))),
    (259, ((19, -8), (24, -34), (44, -58), (74, -52), (98, -8), (96, 28), (72, 56), (44, 58), (26, 40), (19, 20))),
    (230, ((31, -22), (10, -66), (42, -98), (96, -78), (124, -18), (122, 30), (92, 80), (48, 92), (21, 54), (31, 18))),
    (
        190,
        ((48, -25), (7, -92), (50, -108), (108, -82), (134, -23), (132, 32), (100, 84), (54, 98), (20, 64), (37, 20)),
    ),
    (
        150,
        ((44, -10), (9, -98), (60, -110), (114, -84), (136, -24), (135, 34), (104, 86), (55, 101), (21, 68), (36, 24)),
    ),
    (115, ((34, 2), (48, -76), (70, -98), (114, -74), (136, -20), (135, 37), (103, 87), (56, 102), (22, 70), (34, 28))),
    (56, ((40, 6), (56, -62), (74, -84), (114, -58), (135, -8), (127, 60), (95, 92), (57, 102), (28, 78), (36, 34))),
    (4, ((66, -20), (64, -40), (76, -60), (108, -40), (130, 0), (114, 72), (86, 92), (56, 98), (32, 82), (38, 40))),
)

_RIGHT = {  # the two front and two back points of the medial side, where the right lung differs
    230: ((31, -22), (10, -66), (20, 56), (20, 16)), 190: ((40, -20), (7, -88), (19, 62), (17, 20)),
    150: ((30, -8), (9, -97), (19, 66), (15, 22)), 115: ((24, 2), (34, -78), (20, 68), (18, 22)),
}  # fmt: skip


def lung_shape(body: BodyCoordinates, side: int) -> Loft:
    """Return the left (side 1) or the right (-1) lung, before heart and diaphragm are painted over it."""
    levels = []
    for z, ring in _LEFT:
        points = list(ring)
        if side < 0 and z in _RIGHT:
            points[:2], points[-2:] = _RIGHT[z][:2], _RIGHT[z][2:]
        levels.append((float(z), points))
    return body.loft(levels, side=side, cap=(10, 12))


def lungs(body: BodyCoordinates) -> list[Organ]:
    """Return the lobes of both lungs."""
    rng = body.rng("lung")
    density = float(rng.normal(-858, 18))
    parenchyma = Material(density, 8, 9, 14, kind=LUNG)
    organs = []
    for side, name in ((1, "left"), (-1, "right")):
        whole = lung_shape(body, side)
        organs.append(
            Organ(
                LABELS[f"lung_upper_lobe_{name}"],
                [whole],
                parenchyma,
                clip="inner",
                inset=1.8,
                keep=f"lung_{name}",
                rough=0.5,
            )
        )
        if side < 0:
            organs.append(
                Organ(
                    LABELS["lung_middle_lobe_right"],
                    [_middle_lobe(body)],
                    Material(density, 8, 9, 14, kind=LUNG, wall_mm=0.3, wall_hu=-740),
                    clip="lung_right",
                    rough=0.6,
                )
            )
        lower = _behind_fissure(body, side)
        organs.append(
            Organ(
                LABELS[f"lung_lower_lobe_{name}"],
                [lower],
                Material(density - 4, 8, 9, 14, kind=LUNG, wall_mm=0.35, wall_hu=-690),
                clip=f"lung_{name}",
                inset=0.0,
                rough=0.6,
            )
        )
    return organs


def _behind_fissure(body: BodyCoordinates, side: int) -> Loft:
    """Return all that lies behind the oblique fissure, which descends from back to front."""
    levels = []
    for z, y in ((255, 62), (215, 30), (170, 0), (130, -25), (90, -48), (40, -75), (-10, -95)):
        levels.append((float(z), ((5, y + 12), (70, y), (140, y - 14), (150, 130), (70, 140), (5, 130))))
    return body.loft(levels, side=side, cap=(10, 10))


def _middle_lobe(body: BodyCoordinates) -> Loft:
    """Return the region of the middle lobe of the right lung, in front of the oblique fissure."""
    levels = []
    for z in (160.0, 120.0, 60.0):
        y = float(np.interp(z, (60, 130, 170), (-66, -25, 0)))
        levels.append((z, ((5, -140), (140, -140), (140, y - 14), (70, y), (5, y + 12))))
    return body.loft(levels, side=-1, cap=(1, 6))


def lung_trees(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the arteries and veins of both lungs, down to about one millimetre, and the bronchi with their walls."""
    organs = []
    for side, name in ((1, "left"), (-1, "right")):
        lung = lung_shape(body, side)
        rng = body.rng(f"tree {name}")
        inside = _points_inside(lung, side, 2600, rng)
        hilum = body.place(np.array([[30.0 * side, 6, 178], [44.0 * side, 6, 174]]))
        low = body.place(np.array([[16.0 * side, 2, 152], [40.0 * side, 6, 156]]))
        arteries = grow(hilum.tolist(), inside[:1000], 0.45, 6.5)
        veins = grow(low.tolist(), inside[1000:1750], 0.43, 5.5)
        bronchi = grow(hilum.tolist(), hilum[1] + 0.65 * (inside[1750:1800] - hilum[1]), 0.95, 5.0)
        clip = f"lung_{name}"
        organs.append(Organ(0, [arteries], Material(hu["pulmonary"], 2), clip=clip))
        organs.append(Organ(0, [veins], Material(hu["aorta"], 2), clip=clip))
        organs.append(Organ(0, [bronchi], Material(-960, 4, wall_mm=0.75, wall_hu=-130), clip=clip))
    return organs


def _points_inside(lung: Loft, side: int, count: int, rng: np.random.Generator) -> Points:
    """Return evenly scattered random points inside a lung."""
    low, high = lung.contours.min(axis=(0, 1)), lung.contours.max(axis=(0, 1))
    bottom, top = lung.extent
    points = scatter((low[0], low[1], bottom), (high[0], high[1], top), count * 3 // 2, rng)
    return points[lung.holds(points)]
