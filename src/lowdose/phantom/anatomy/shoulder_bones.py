"""Clavicles, scapulae and arm bones."""

from __future__ import annotations

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.spine import bone
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Organ

_BLADE = (
    (300, ((142, 4), (147, 12), (128, 36), (108, 64), (103, 62), (120, 34))),
    (272, ((152, 16), (155, 21), (130, 52), (106, 78), (102, 75), (124, 47))),
    (230, ((155, 20), (158, 26), (136, 56), (108, 83), (104, 80), (130, 51))),
    (195, ((146, 22), (149, 27), (138, 44), (126, 58), (122, 55), (134, 40))),
)


def shoulders(body: BodyCoordinates) -> list[Organ]:
    """Return the clavicles, the scapulae and the bones of the raised or lowered arms."""
    organs = []
    for side, name in ((1, "left"), (-1, "right")):
        clavicle = body.tube(
            [(14, -66, 262, 8), (48, -72, 276, 6.5), (90, -44, 296, 5.5), (128, -20, 312, 6), (158, -10, 320, 7)],
            side=side,
        )
        organs.append(Organ(LABELS[f"clavicula_{name}"], [clavicle], bone(body, 1.8, 750)))
        blade = body.loft(_BLADE, side=side, cap=(8, 6))
        scapular_spine = body.tube(
            [(104, 74, 270, 4), (130, 58, 290, 5), (165, 28, 316, 6), (170, 0, 322, 6)], side=side, flat=1.6
        )
        glenoid = body.ball((140, 8, 300), (8, 13, 18), side=side, angles=(-20, 0, 0))
        coracoid = body.tube([(136, 2, 310, 5), (132, -24, 312, 5)], side=side, step=1)
        organs.append(
            Organ(LABELS[f"scapula_{name}"], [blade, scapular_spine, glenoid, coracoid], bone(body, 1.4, 560))
        )
        organs += _arm_bones(body, side, name)
    return organs


def _arm_bones(body: BodyCoordinates, side: int, name: str) -> list[Organ]:
    wide, out = 1.0 + 0.16 * body.build.visceral, 10 * body.build.fat / body.scale
    head = body.ball((160, 2, 300), (23, 23, 24), side=side)
    cortex = bone(body, 3.6, 1150, 20)
    if body.build.arms == "raised":
        shaft = body.tube(
            [(166, -4, 312, 18), (172, -12, 345, 12), (166, -22, 420, 11), (160, -25, 520, 11)], side=side
        )
        return [
            Organ(LABELS[f"humerus_{name}"], [shaft], cortex),
            Organ(LABELS[f"humerus_{name}"], [head], bone(body, 1.6, 500)),
        ]
    shaft = body.tube(
        [
            (164, 0, 296, 18),
            (190 * wide + out, 10, 225, 11.5),
            (203 * wide + out, 24, 100, 11),
            (208 * wide + out, 27, 45, 14),
            (208 * wide + out, 27, 25, 19),
        ],
        side=side,
    )
    radius = body.tube(
        [(202 * wide + out, 12, 8, 9), (196 * wide + out, -2, -60, 6.5), (184 * wide + out, -26, -210, 10)], side=side
    )
    ulna = body.tube(
        [(208 * wide + out, 28, 22, 10), (202 * wide + out, 14, -60, 6.5), (186 * wide + out, -8, -210, 6)], side=side
    )
    return [
        Organ(LABELS[f"humerus_{name}"], [shaft], cortex),
        Organ(LABELS[f"humerus_{name}"], [head], bone(body, 1.6, 500)),
        Organ(LABELS["body"], [radius, ulna], bone(body, 2.8, 1100, 40)),
    ]
