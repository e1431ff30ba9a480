"""Bladder, prostate or uterus, the floor of the pelvis, and its vessels."""

from __future__ import annotations

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ


def organs_of_pelvis(frame: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Bladder, prostate with seminal vesicles, or uterus with ovaries."""
    rng = frame.rng("bladder")
    full = float(rng.uniform(0.7, 1.15))
    f = frame.vary("bladder", (0, 20, -265), 2.0, 0.05)
    centre = (0.0, 14.0, -268 + 14 * full)
    bladder = [f.ball(centre, (36 * full, 27 * full, 28 * full), blend=5), f.ball((0, 18, -288), (22, 18, 16), blend=5)]
    wall = Material(hu["urine"], 2, wall_mm=2.8 / full, wall_hu=hu["bladder_wall"])
    tissue = Material(hu["prostate"], 3, 8, 8)
    if frame.build.sex == "male":
        size = min(max(0.75 + 0.008 * frame.build.age, 0.8), 1.5)
        gland = f.ball((0, 36, -306), (20.5 * size, 15.5 * size, 15.5 * size), blend=3)
        vesicles = [f.tube([(4, 50, -284, 5), (26, 52, -276, 5.5), (36, 48, -268, 3.5)], side=side) for side in (1, -1)]
        return [
            Organ(LABELS["body"], vesicles, Material(30, 3, 8), rough=0.8),
            Organ(LABELS["prostate"], [gland], tissue, rough=0.6),
            Organ(LABELS["urinary_bladder"], bladder, wall, clip="inner", rough=1.0),
        ]
    lean = float(rng.uniform(-14, 14))
    womb = [
        f.ball((lean, 42, -246), (25, 19, 26), angles=(0, 25, 0), blend=8),
        f.ball((lean / 3, 48, -274), (14, 13, 17), blend=8),
    ]
    ovaries = [f.ball((44, 38, -240), (14, 9, 11), side=side) for side in (1, -1)]
    return [
        Organ(LABELS["body"], ovaries, Material(28, 3, 8, 10), rough=1.0),
        Organ(LABELS["body"], womb, Material(hu["uterus"], 3, 6, 8), rough=0.8),
        Organ(LABELS["urinary_bladder"], bladder, wall, clip="inner", rough=1.0, carve=womb),
    ]


def floor(frame: BodyCoordinates) -> list[Organ]:
    """The levator ani, a funnel of muscle, with the fat of the ischioanal fossae outside."""
    fossa = frame.loft(
        [
            (-292, ((0, 40), (28, 44), (42, 60), (38, 84), (20, 98), (0, 102))),
            (-335, ((0, 44), (30, 40), (42, 56), (46, 80), (26, 96), (0, 98))),
        ],
        half=True,
        cap=(20, 10),
    )
    funnel = frame.loft(
        [
            (-288, ((0, -8), (16, -2), (32, 16), (33, 58), (24, 88), (0, 98))),
            (-305, ((0, -8), (13, -2), (22, 20), (23, 60), (16, 88), (0, 96))),
            (-330, ((0, 10), (9, 14), (13, 34), (15, 66), (11, 84), (0, 90))),
        ],
        half=True,
        cap=(10, 6),
    )
    return [
        Organ(LABELS["torso_fat"], [fossa], Material(-102, 3, 6, 6)),
        Organ(LABELS["torso_fat"], [funnel], Material(-80, 4, 10, 14, wall_mm=3.4, wall_hu=52), rough=0.8),
    ]


def iliac_vessels(frame: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Common and external iliac arteries and veins down to the groin, and the internal ones in the pelvis."""
    art, ven = Material(hu["aorta"], 2), Material(hu["cava_low"], 2, 4)
    organs = []
    for side, name in ((1, "left"), (-1, "right")):
        x0 = 5 * side
        vein = [
            (-15 * side, 18, -126, 8.5),
            (24, 22, -150, 7.5),
            (38, 26, -172, 7),
            (58, 14, -205, 6.5),
            (66, -12, -245, 6),
            (64, -34, -285, 6.5),
            (72, -34, -340, 6.5),
        ]
        artery = [
            (x0, 12, -116, 6.5),
            (20, 12, -140, 6),
            (36, 14, -168, 5.5),
            (56, 4, -202, 4.8),
            (72, -20, -245, 4.4),
            (78, -40, -285, 4.4),
            (84, -40, -340, 4.2),
        ]
        inner_a = [(36, 14, -168, 4), (46, 42, -195, 3.5), (52, 62, -225, 2.8), (48, 70, -255, 2)]
        inner_v = [(38, 26, -172, 4.5), (42, 50, -198, 4), (50, 70, -228, 3), (46, 76, -255, 2.4)]
        organs += [
            Organ(LABELS[f"iliac_vena_{name}"], [frame.tube(vein, side=side), frame.tube(inner_v, side=side)], ven),
            Organ(LABELS[f"iliac_artery_{name}"], [frame.tube(artery, side=side), frame.tube(inner_a, side=side)], art),
        ]
    return organs
