"""Muscles of the back, the loin, the hip and the buttock."""

from __future__ import annotations

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.rasterise import MUSCLE
from lowdose.phantom.drawing.shapes import Shape

_GLUTEUS_MAX = (
    (-150, ((70, 92), (76, 84), (84, 84), (84, 94), (78, 100))),
    (-202, ((58, 112), (78, 96), (112, 84), (116, 94), (78, 116))),
    (-236, ((34, 116), (76, 92), (122, 66), (136, 72), (76, 122))),
    (-270, ((20, 112), (60, 90), (118, 62), (142, 66), (86, 108))),
    (-312, ((26, 92), (62, 78), (112, 66), (132, 74), (88, 108))),
)

_GLUTEUS_MED = (
    (-140, ((126, 6), (120, 32), (104, 58), (110, 66), (130, 40))),
    (-170, ((128, -14), (124, 16), (100, 52), (108, 76), (136, 24))),
    (-202, ((112, -26), (112, 10), (104, 50), (122, 82), (142, 30))),
    (-236, ((108, -22), (116, 12), (112, 48), (128, 62), (146, 20))),
    (-268, ((124, -6), (134, 8), (132, 28), (142, 34), (150, 8))),
)

_GLUTEUS_MIN = (
    (-190, ((112, -14), (108, 8), (98, 34), (104, 44), (118, 14))),
    (-225, ((104, -12), (108, 8), (102, 38), (112, 44), (120, 14))),
    (-258, ((112, -6), (116, 8), (114, 22), (122, 26), (128, 8))),
)

_BACK = (
    (425, ((6, 22), (20, 14), (34, 20), (36, 38), (20, 48), (6, 50))),
    (345, ((7, 24), (22, 16), (38, 22), (42, 42), (22, 55), (6, 56))),
    (300, ((7, 28), (24, 22), (40, 28), (42, 46), (22, 60), (6, 60))),
    (266, ((7, 50), (24, 48), (42, 58), (46, 72), (24, 82), (6, 80))),
    (230, ((7, 66), (24, 62), (44, 74), (48, 86), (26, 94), (6, 92))),
    (150, ((7, 86), (24, 80), (48, 92), (52, 100), (30, 106), (6, 104))),
    (56, ((7, 82), (24, 76), (54, 92), (58, 104), (34, 114), (7, 108))),
    (-40, ((8, 74), (26, 62), (58, 78), (62, 98), (36, 116), (7, 106))),
    (-90, ((9, 72), (28, 60), (56, 72), (62, 92), (36, 112), (7, 102))),
    (-140, ((9, 76), (28, 66), (50, 76), (56, 94), (34, 110), (7, 102))),
    (-175, ((14, 96), (28, 94), (44, 96), (48, 104), (28, 112), (10, 110))),
)


def muscles(body: BodyCoordinates) -> list[Organ]:
    """Return the muscles of the back, the loin, the hip and the buttock, with or without a label of their own."""
    muscle_hu = 60 - 0.28 * max(body.build.age - 50, 0)
    fatty = 0.0016 * (body.build.age - 45)
    muscle = Material(muscle_hu, 3, 4, 3, wall_mm=0.6, wall_hu=-8, kind=MUSCLE, share=0.7 * fatty)
    back = Material(muscle_hu - 4, 3, 5, 4, wall_mm=0.7, wall_hu=-15, kind=MUSCLE, share=fatty)
    bulk = 0.5 + 0.5 * body.build.muscle
    organs = []
    for side, name in ((1, "left"), (-1, "right")):
        psoas = body.tube(
            [
                (27, 28, -6, 6),
                (31, 28, -34, 12),
                (37, 28, -70, 17 * bulk),
                (43, 26, -110, 20 * bulk),
                (52, 20, -145, 20 * bulk),
                (66, 6, -185, 19 * bulk),
                (80, -12, -225, 18 * bulk),
                (92, -16, -262, 17 * bulk),
                (96, 2, -300, 14),
                (92, 24, -335, 9),
            ],
            side=side,
        )
        iliacus = body.loft(
            [
                (-140, ((116, 4), (108, 24), (94, 44), (86, 38), (96, 16), (108, 0))),
                (-175, ((112, -10), (106, 14), (86, 42), (68, 36), (80, 8), (100, -16))),
                (-215, ((100, -26), (94, 0), (82, 24), (74, 14), (78, -14), (90, -30))),
            ],
            side=side,
            cap=(16, 14),
        )
        loin = body.loft(
            [
                (-10, ((52, 70), (66, 76), (72, 84), (58, 86), (46, 80))),
                (-60, ((52, 60), (70, 64), (80, 74), (64, 80), (48, 72))),
                (-115, ((58, 54), (78, 52), (88, 58), (72, 68), (56, 66))),
            ],
            side=side,
            cap=(10, 10),
        )
        deep: list[Shape] = [
            body.loft(
                [
                    (-225, ((64, 16), (70, 40), (70, 64), (62, 66), (58, 40))),
                    (-265, ((56, 6), (64, 30), (62, 62), (54, 62), (48, 30))),
                    (-300, ((46, 4), (58, 26), (54, 56), (44, 58), (38, 26))),
                ],
                side=side,
                cap=(14, 14),
            ),
            body.tube([(36, 96, -222, 9), (70, 84, -240, 11), (110, 60, -258, 8)], side=side),
            body.tube(
                [(92, -27, -222, 4), (104, -30, -262, 11), (106, -34, -320, 14), (106, -32, -380, 16)], side=side
            ),
            body.tube([(114, -10, -190, 4), (126, -10, -225, 7), (138, -8, -270, 9), (142, -8, -330, 8)], side=side),
            body.tube([(16, -12, -308, 10), (48, -6, -318, 16), (74, 8, -350, 20), (84, 20, -390, 20)], side=side),
            body.tube([(62, 66, -312, 8), (78, 66, -340, 18), (90, 58, -390, 24)], side=side),
        ]
        organs += [
            Organ(LABELS[f"autochthon_{name}"], [body.loft(_BACK, side=side, cap=(30, 16))], back, rough=1.0),
            Organ(LABELS["skeletal_muscle"], [loin, *deep], muscle, rough=1.0),
            Organ(
                LABELS[f"gluteus_maximus_{name}"], [body.loft(_GLUTEUS_MAX, side=side, cap=(6, 40))], muscle, rough=1.5
            ),
            Organ(
                LABELS[f"gluteus_medius_{name}"], [body.loft(_GLUTEUS_MED, side=side, cap=(12, 12))], muscle, rough=1.0
            ),
            Organ(
                LABELS[f"gluteus_minimus_{name}"], [body.loft(_GLUTEUS_MIN, side=side, cap=(8, 12))], muscle, rough=1.0
            ),
            Organ(LABELS[f"iliopsoas_{name}"], [psoas, iliacus], muscle, rough=0.8),
        ]
    return organs
