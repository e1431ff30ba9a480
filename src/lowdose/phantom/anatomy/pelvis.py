"""Bladder, prostate or uterus, pelvic floor and pelvic vessels."""

from __future__ import annotations

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ


def organs_of_pelvis(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the bladder, and the prostate with seminal vesicles or the uterus with ovaries."""
    rng = body.rng("bladder")
    fullness = float(rng.uniform(0.7, 1.15))
    local = body.vary("bladder", (0, 20, -265), 2.0, 0.05)
    centre = (0.0, 14.0, -268 + 14 * fullness)
    bladder = [
        local.ball(centre, (36 * fullness, 27 * fullness, 28 * fullness), blend=5),
        local.ball((0, 18, -288), (22, 18, 16), blend=5),
    ]
    wall = Material(hu["urine"], 2, wall_mm=2.8 / fullness, wall_hu=hu["bladder_wall"])
    tissue = Material(hu["prostate"], 3, 8, 8)
    if body.build.sex == "male":
        size = min(max(0.75 + 0.008 * body.build.age, 0.8), 1.5)
        gland = local.ball((0, 36, -306), (20.5 * size, 15.5 * size, 15.5 * size), blend=3)
        vesicles = [
            local.tube([(4, 50, -284, 5), (26, 52, -276, 5.5), (36, 48, -268, 3.5)], side=side) for side in (1, -1)
        ]
        return [
            Organ(LABELS["body"], vesicles, Material(30, 3, 8), rough=0.8),
            Organ(LABELS["prostate"], [gland], tissue, rough=0.6),
            Organ(LABELS["urinary_bladder"], bladder, wall, clip="inner", rough=1.0),
        ]
    offset = float(rng.uniform(-14, 14))
    uterus = [
        local.ball((offset, 42, -246), (25, 19, 26), angles=(0, 25, 0), blend=8),
        local.ball((offset / 3, 48, -274), (14, 13, 17), blend=8),
    ]
    ovaries = [local.ball((44, 38, -240), (14, 9, 11), side=side) for side in (1, -1)]
    return [
        Organ(LABELS["body"], ovaries, Material(28, 3, 8, 10), rough=1.0),
        Organ(LABELS["body"], uterus, Material(hu["uterus"], 3, 6, 8), rough=0.8),
        Organ(LABELS["urinary_bladder"], bladder, wall, clip="inner", rough=1.0, carve=uterus),
    ]


def floor(body: BodyCoordinates) -> list[Organ]:
    """Return the levator ani, a funnel of muscle, and the fat of the ischioanal fossae outside."""
    fossa = body.loft(
        [
            (-292, ((0, 40), (28, 44), (42, 60), (38, 84), (20, 98), (0, 102))),
            (-335, ((0, 44), (30, 40), (42, 56), (46, 80), (26, 96), (0, 98))),
        ],
        half=True,
        cap=(20, 10),
    )
    funnel = body.loft(
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


def iliac_vessels(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the common and external iliac arteries and veins down to the groin, and the internal ones."""
    arterial, venous = Material(hu["aorta"], 2), Material(hu["cava_low"], 2, 4)
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
        internal_artery = [(36, 14, -168, 4), (46, 42, -195, 3.5), (52, 62, -225, 2.8), (48, 70, -255, 2)]
        internal_vein = [(38, 26, -172, 4.5), (42, 50, -198, 4), (50, 70, -228, 3), (46, 76, -255, 2.4)]
        organs += [
            Organ(
                LABELS[f"iliac_vena_{name}"], [body.tube(vein, side=side), body.tube(internal_vein, side=side)], venous
            ),
            Organ(
                LABELS[f"iliac_artery_{name}"],
                [body.tube(artery, side=side), body.tube(internal_artery, side=side)],
                arterial,
            ),
        ]
    return organs
