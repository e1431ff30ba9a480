"""Diaphragm, liver, gallbladder, spleen and pancreas."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.vessels import grow, scatter
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.rasterise import FAT, REGION_ONLY
from lowdose.phantom.drawing.shapes import Loft, Shape, Tube

# Contours of the liver: (z, contour of (x, y)), mm.
_LIVER = (
    (110, ((-26, -14), (-32, -34), (-50, -45), (-70, -48), (-90, -38), (-101, -10), (-93, 20), (-70, 33),
     (-47, 29), (-34, 18), (-28, 10), (-26, 0))),
    (95, ((8, -42), (-6, -60), (-32, -68), (-66, -70), (-98, -50), (-115, -8), (-107, 36), (-75, 58), (-46, 47),
     (-28, 30), (-15, 12), (-2, -12))),
    (80, ((34, -48), (18, -68), (-18, -78), (-70, -74), (-104, -52), (-121, -5), (-114, 44), (-82, 76), (-48, 62),
     (-30, 38), (-10, 20), (10, -8))),
    (62, ((50, -54), (32, -74), (-14, -80), (-70, -74), (-107, -48), (-123, -1), (-116, 49), (-85, 79), (-50, 68),
     (-32, 40), (-14, 16), (16, -6))),
    (42, ((44, -55), (22, -75), (-18, -78), (-70, -68), (-107, -44), (-124, 1), (-116, 50), (-88, 77), (-54, 60),
     (-36, 36), (-22, 12), (2, -20))),
    (20, ((20, -57), (-4, -72), (-30, -74), (-72, -62), (-107, -39), (-123, 4), (-115, 52), (-90, 73), (-62, 55),
     (-50, 30), (-46, 4), (-18, -28))),
    (-6, ((-46, -38), (-58, -53), (-71, -56), (-88, -50), (-109, -31), (-121, 7), (-113, 47), (-95, 63), (-77, 49),
     (-69, 28), (-64, 5), (-54, -20))),
    (-38, ((-78, -18), (-83, -32), (-90, -37), (-98, -34), (-110, -19), (-116, 9), (-110, 37), (-102, 46),
     (-92, 39), (-86, 24), (-81, 10), (-78, -4))),
)  # fmt: skip

_SPLEEN = (
    (92, ((112, 2), (118, 32), (107, 61), (85, 80), (54, 83), (38, 72), (54, 56), (74, 46), (88, 26), (98, 10))),
    (64, ((116, 4), (121, 38), (106, 67), (82, 84), (54, 81), (38, 66), (56, 52), (74, 44), (88, 28), (100, 12))),
    (34, ((114, 22), (115, 50), (102, 70), (82, 82), (60, 78), (50, 66), (62, 54), (76, 46), (90, 36), (102, 24))),
    (18, ((110, 40), (109, 54), (99, 70), (84, 78), (70, 76), (64, 68), (72, 60), (82, 54), (92, 47), (102, 40))),
)

_DOME = (
    (84, ((0, -78), (40, -84), (84, -72), (112, -44), (124, -4), (112, 40), (86, 64), (52, 66), (20, 40), (0, 34))),
    (56, ((0, -80), (50, -82), (90, -66), (115, -30), (125, 10), (115, 50), (88, 76), (54, 82), (22, 50), (0, 40))),
    (25, ((0, -74), (50, -75), (91, -57), (116, -20), (124, 20), (112, 58), (86, 80), (54, 88), (26, 60), (0, 44))),
    (-5, ((0, -68), (50, -68), (91, -48), (117, -12), (124, 28), (108, 70), (84, 88), (54, 92), (28, 70), (0, 50))),
)


def breathing(body: BodyCoordinates) -> BodyCoordinates:
    """Return the coordinates of organs that move with the diaphragm."""
    return body.vary("breath", (0, 0, 40), 4.0, 0.03)


def diaphragm(body: BodyCoordinates) -> list[Organ]:
    """Return the domes of the diaphragm, a sheet of muscle around fat that is painted over the lungs."""
    local = breathing(body)
    domes: list[Shape] = [
        local.ball((-64, -6, 46), (60, 76, 76)),
        local.ball((67, 4, 40), (59, 77, 70)),
        local.loft(_DOME, half=True, cap=(6, 16)),
    ]
    below = body.loft(
        [
            (-10, ((0, -68), (60, -68), (120, -20), (126, 30), (110, 80), (60, 96), (0, 90))),
            (-400, ((0, -68), (60, -68), (120, -20), (126, 30), (110, 80), (60, 130), (0, 130))),
        ],
        half=True,
        cap=(1, 10),
    )
    sheet = Material(-100, 3, 5, 5, wall_mm=2.4, wall_hu=52, kind=FAT, share=0.025)
    return [
        Organ(LABELS["skeletal_muscle"], [domes[2]], Material(52, 3, 4), clip="inner"),
        Organ(LABELS["torso_fat"], domes, sheet, clip="inner", rough=0.7),
        Organ(0, [*domes, below], Material(0, kind=REGION_ONLY), keep="abdomen"),
    ]


def liver(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the liver with its portal and hepatic veins, and the gallbladder."""
    local = breathing(body).vary("liver", (-60, 0, 40), 2.5, 0.05)
    fat_hu = float(np.clip(body.rng("fatty").normal(0, 6) - 22 * max(body.build.visceral - 0.55, 0), -35, 12))
    shape = local.loft(_LIVER, cap=(16, 8))
    parenchyma = Material(hu["liver"] + fat_hu, 2.5, 3.0, 2.0)
    low, high = local.place(np.array([[-120.0, -75, -30], [40.0, 75, 108]]))
    targets = scatter(low, high, 420, body.rng("liver tree"))
    targets = targets[shape.holds(targets)]
    portal_root = local.place(np.array([(-14.0, 2, 2), (-26, -2, 16), (-38, -4, 28), (-48, -6, 38)]))
    hepatic_root = local.place(np.array([(-20.0, 22, 84), (-24, 16, 86), (-40, 8, 84)]))
    half = len(targets) // 2
    portal_tree, hepatic_veins = (
        grow(portal_root.tolist(), targets[:half], 1.0, 6.8),
        grow(hepatic_root.tolist(), targets[half:], 1.1, 7.0),
    )
    gallbladder_local = local.vary("gallbladder", (-60, -22, 8), 5.0, 0.15)
    bile_hu = float(body.rng("bile").uniform(0, 18))
    gallbladder: list[Shape] = [
        gallbladder_local.ball((-58, -24, 2), (13, 18, 25), angles=(20, 25, 0), blend=4),
        gallbladder_local.tube([(-56, -14, 18, 7), (-48, -6, 28, 3)], step=1, blend=4),
    ]
    return [
        Organ(
            LABELS["liver"],
            [shape, local.ball((-63, -6, 64), (58, 74, 56), blend=6)],
            parenchyma,
            clip="abdomen",
            keep="liver",
            rough=1.2,
        ),
        Organ(0, [hepatic_veins], Material(hu["hepatic_vein"] + 0.5 * fat_hu, 2), clip="liver"),
        Organ(0, [portal_tree], Material(hu["portal"], 2), clip="liver"),
        Organ(
            LABELS["gallbladder"],
            gallbladder,
            Material(bile_hu, 2, 1, wall_mm=1.2, wall_hu=hu["gut_wall"] - 5),
            clip="abdomen",
            rough=0.5,
        ),
        Organ(LABELS["portal_vein_and_splenic_vein"], [_portal(local)], Material(hu["portal"], 2)),
    ]


def _portal(local: BodyCoordinates) -> Tube:
    return local.tube([(-6, 4, -6, 6.2), (-14, 2, 2, 6.5), (-26, -2, 16, 6.8), (-38, -4, 28, 6.8), (-48, -6, 38, 6.2)])


def left_upper(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the spleen, the pancreas, and the splenic and superior mesenteric veins."""
    spleen_local = breathing(body).vary("spleen", (90, 50, 60), 2.5, 0.10)
    pancreas_local = breathing(body).vary("pancreas", (10, -6, 0), 3.0, 0.06)
    ageing = max(body.build.age - 45, 0) / 45
    pancreas = pancreas_local.tube(
        [
            (-30, 2, -44, 11),
            (-30, -4, -28, 16 - 2 * ageing),
            (-20, -10, -14, 13 - 2 * ageing),
            (-4, -15, -4, 10.5 - 2 * ageing),
            (14, -15, 4, 11 - 2 * ageing),
            (36, -2, 14, 11.5 - 2 * ageing),
            (60, 18, 26, 12 - 2 * ageing),
            (80, 32, 36, 9 - ageing),
        ]
    )
    vein = pancreas_local.tube(
        [(-6, 3, -6, 5.4), (14, 0, 6, 4.6), (36, 12, 18, 4.3), (60, 28, 30, 4.0), (84, 46, 44, 3.4)]
    )
    smv = pancreas_local.tube([(-6, 3, -6, 5.6), (-8, -4, -30, 5.4), (-6, -10, -70, 5.0), (-2, -16, -100, 4.0)])
    return [
        Organ(
            LABELS["spleen"],
            [spleen_local.loft(_SPLEEN, cap=(14, 16))],
            Material(hu["spleen"], 2.5, 2.5, 1.5),
            clip="abdomen",
            rough=1.0,
        ),
        Organ(LABELS["portal_vein_and_splenic_vein"], [vein], Material(hu["portal"], 2)),
        Organ(LABELS["body"], [smv], Material(hu["portal"] - 8, 2)),
        Organ(
            LABELS["pancreas"],
            [pancreas],
            Material(hu["pancreas"] - 12 * ageing, 4, 9 + 10 * ageing, 4),
            rough=1.4 + ageing,
        ),
    ]


def liver_shape(body: BodyCoordinates) -> Loft:
    """Return the shape of the liver, for placing lesions in it."""
    return breathing(body).vary("liver", (-60, 0, 40), 2.5, 0.05).loft(_LIVER, cap=(16, 8))
