"""Sacrum, hip bones and proximal femora."""

from __future__ import annotations

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.spine import bone
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.rasterise import LABEL_ONLY
from lowdose.phantom.drawing.shapes import Shape

_WING = (  # wing of the ilium: outer surface from front to back, then inner surface
    (-118, ((124, 14), (118, 34), (106, 50), (98, 58), (95, 54), (102, 44), (113, 28), (120, 12))),
    (-140, ((125, 2), (119, 26), (104, 52), (80, 76), (76, 72), (98, 46), (111, 22), (119, 0))),
    (-170, ((126, -16), (122, 14), (98, 46), (74, 98), (62, 104), (62, 84), (92, 38), (112, 4))),
    (-202, ((107, -32), (104, 4), (88, 42), (70, 92), (58, 104), (54, 84), (80, 32), (98, -20))),
    (-236, ((98, -16), (100, 14), (94, 46), (82, 68), (72, 68), (70, 46), (80, 16), (90, -16))),
    (-252, ((92, -4), (104, 14), (104, 42), (84, 66), (68, 66), (64, 40), (70, 12), (82, -6))),
)

_SACRUM = (
    (-162, ((0, 26), (18, 27), (26, 38), (60, 54), (58, 68), (34, 74), (16, 82), (0, 86))),
    (-184, ((0, 50), (22, 52), (40, 52), (58, 66), (54, 84), (34, 90), (14, 95), (0, 98))),
    (-202, ((0, 76), (20, 74), (38, 70), (50, 80), (46, 100), (30, 107), (12, 112), (0, 115))),
    (-236, ((0, 96), (14, 95), (26, 97), (35, 102), (31, 107), (16, 110), (7, 113), (0, 114))),
    (-264, ((0, 108), (6, 107), (12, 109), (16, 112), (13, 115), (8, 116), (4, 117), (0, 117))),
    (-285, ((0, 106), (3, 106), (5, 107), (6, 109), (5, 111), (4, 112), (2, 113), (0, 113))),
)


def bones(body: BodyCoordinates) -> list[Organ]:
    """Return the sacrum with coccyx and foramina, the hip bones and the proximal femora."""
    foramina = [
        body.tube([(19 - 0.03 * (z + 190), y, z, 4.2), (19, y + 24, z - 6, 3.4)], side=side, step=1)
        for side in (1, -1)
        for z, y in ((-184, 62), (-204, 84), (-226, 96))
    ]
    sacral_canal = body.tube([(0, 70, -166, 8), (0, 84, -186, 7), (0, 102, -206, 5), (0, 110, -236, 3)])
    organs = [
        Organ(
            LABELS["sacrum"],
            [body.loft(_SACRUM, half=True, cap=(12, 4))],
            bone(body, 1.4, 480, 0.75 * body.build.marrow),
            carve=[*foramina, sacral_canal],
            keep="sacrum",
        ),
        Organ(
            LABELS["vertebrae_S1"],
            [body.ball((0, 56, -170), (70, 60, 19), angles=(0, -18, 0))],
            Material(0, kind=LABEL_ONLY),
            clip="sacrum",
        ),
    ]
    for side, name in ((1, "left"), (-1, "right")):
        organs += _hip(body, side, name) + _femur(body, side, name)
    return organs


def _hip(body: BodyCoordinates, side: int, name: str) -> list[Organ]:
    head = (90, 18, -270)
    acetabulum = body.ball((84, 20, -268), (28, 32, 31), side=side)
    shapes: list[Shape] = [
        body.loft(_WING, side=side, cap=(8, 6)),
        acetabulum,
        body.tube([(66, 0, -272, 9), (40, -18, -286, 7), (14, -24, -300, 10)], side=side, blend=4),
        body.tube([(7, -22, -296, 8), (8, -14, -318, 8)], side=side, blend=4, step=1),
        body.tube([(70, 46, -256, 15), (64, 56, -280, 14), (62, 60, -318, 13)], side=side, blend=6),
        body.tube([(60, 54, -324, 9), (38, 24, -326, 6), (12, -10, -318, 7)], side=side, blend=4),
    ]
    joint_space: list[Shape] = [
        body.ball(head, (26.5, 26.5, 26.5), side=side),
        body.tube([(*head, 26), (140, 28, -284, 34)], side=side, step=1),
    ]
    return [Organ(LABELS[f"hip_{name}"], shapes, bone(body, 2.0, 780, 0.85 * body.build.marrow), carve=joint_space)]


def _femur(body: BodyCoordinates, side: int, name: str) -> list[Organ]:
    head = body.ball((90, 18, -270), (23.5, 23.5, 23.5), side=side)
    neck = body.tube([(94, 19, -274, 17), (112, 26, -286, 14.5), (126, 34, -296, 16)], side=side, blend=6)
    top = body.tube(
        [(130, 38, -282, 12), (128, 36, -304, 17), (118, 30, -332, 16), (114, 26, -370, 14), (112, 24, -430, 14)],
        side=side,
        blend=6,
    )
    cavity = body.tube([(116, 28, -350, 6), (114, 26, -372, 8), (112, 24, -430, 8)], side=side)
    return [
        Organ(LABELS[f"femur_{name}"], [head, neck, top], bone(body, 2.0, 850, 0.9 * body.build.marrow + 60)),
        Organ(
            LABELS[f"femur_{name}"],
            [body.tube([(118, 30, -334, 15), (114, 26, -370, 13.8), (112, 24, -430, 13.8)], side=side)],
            bone(body, 4.5, 1250, 60),
        ),
        Organ(LABELS[f"femur_{name}"], [cavity], Material(-20, 10, 20)),
    ]
