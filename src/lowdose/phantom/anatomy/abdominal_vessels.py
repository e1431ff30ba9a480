"""Inferior vena cava, unpaired branches of the aorta, mesenteric vessels and crura of the diaphragm."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.vessels import grow
from lowdose.phantom.anatomy.viscera import breathing
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Tube


def trunk_vessels(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the lower inferior vena cava, the unpaired branches of the aorta, and the mesenteric vessels."""
    local = breathing(body)
    lower_cava = body.tube([(-21, 11, -26, 10.2), (-20, 12, -70, 9.6), (-18, 14, -110, 9.4), (-15, 18, -126, 9.5)])
    celiac = [
        local.tube([(8, 8, 22, 4), (6, -4, 20, 3.4), (-6, -8, 20, 2.8), (-24, -8, 22, 2.4)]),
        local.tube([(6, -4, 20, 3), (24, -4, 20, 2.8), (48, 12, 30, 2.5), (80, 40, 44, 2.2)]),
        local.tube([(8, 4, 2, 4), (7, -8, -8, 3.8), (6, -12, -40, 3.5), (4, -18, -90, 2.8)]),
    ]
    rng = body.rng("mesentery")
    ends = rng.uniform((-75, -45, -140), (80, -5, -20), (70, 3))
    roots = [body.place(np.array([(x, -14.0, z) for z in (-20.0, -45, -70, -95)])) for x in (4.0, -5.0)]
    trees = [grow(root.tolist(), body.place(ends[k::2]), 1.05, 3.4) for k, root in enumerate(roots)]
    targets = local.place(rng.uniform((-60, -55, -10), (100, 25, 80), (60, 3)))
    omentum = grow(local.place(np.array([(12.0, -14, 6), (40.0, -20, 10)])).tolist(), targets, 0.9, 2.6)
    return [
        Organ(0, [trees[0]], Material(hu["aorta"], 2), clip="gut fat"),
        Organ(0, [omentum], Material(hu["portal"], 2), clip="abdomen"),
        Organ(0, [trees[1]], Material(hu["portal"], 2), clip="gut fat"),
        Organ(LABELS["inferior_vena_cava"], [lower_cava], Material(hu["cava_low"], 2, 4)),
        Organ(LABELS["body"], celiac, Material(hu["aorta"], 2)),
    ]


def cava(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the inferior vena cava from the kidneys to the heart, in its groove of the liver."""
    return [Organ(LABELS["inferior_vena_cava"], [_cava(breathing(body))], Material(hu["cava"], 2, 4, 3), rough=0.8)]


def _cava(local: BodyCoordinates) -> Tube:
    return local.tube(
        [
            (-16, -16, 118, 10),
            (-19, 10, 98, 11),
            (-21, 18, 78, 11.5),
            (-21, 17, 40, 11),
            (-21, 13, 0, 10.5),
            (-21, 11, -30, 10),
        ]
    )


def crura(body: BodyCoordinates) -> list[Organ]:
    """Return the crura of the diaphragm, on both sides of the aorta."""
    muscle = Material(55, 3, 4)
    right = body.tube([(0, 16, 62, 6), (-4, 17, 30, 8), (-7, 20, 0, 7.5), (-11, 23, -35, 5), (-12, 24, -60, 2)])
    left = body.tube([(18, 22, 58, 5), (18, 21, 30, 7), (17, 22, 5, 6.5), (17, 25, -28, 4)])
    lateral = [
        body.tube([(-6, 16, 45, 4), (-24, 42, 34, 3), (-44, 62, 22, 2)]),
        body.tube([(20, 18, 45, 4), (30, 42, 32, 3), (46, 62, 20, 2)]),
    ]
    return [Organ(LABELS["skeletal_muscle"], [right, left, *lateral], muscle, rough=1.0)]
