"""Pericardium, myocardium, chambers and coronary arteries of the heart."""

from __future__ import annotations

from dataclasses import replace

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Loft


def heart(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the pericardial fat, the myocardium, the four chambers and the coronary arteries."""
    local = body.vary("heart", (14, -40, 125), 3.0, 0.05)
    local = replace(
        local,
        shift=(local.shift[0], local.shift[1], local.shift[2] + 7.0),
        grow=(1.15 * local.grow[0], 1.13 * local.grow[1], 1.12 * local.grow[2]),
    )
    blood, venous_blood = Material(hu["aorta"], 2, 2), Material(hu["right_heart"], 2, 3, 5)
    tilt = (-38.0, 30.0, 0.0)
    left_ventricle = local.ball((42, -36, 116), (33, 45, 33), angles=tilt, blend=8)
    right_ventricle = local.ball((6, -52, 118), (42, 28, 38), angles=(-25, 15, 0), blend=8)
    atria = [local.ball((-26, -30, 128), (20, 26, 31), blend=8), local.ball((8, -2, 140), (33, 17, 22), blend=8)]
    base = local.tube([(8, -38, 150, 15), (2, -42, 168, 13)], blend=8, step=1)
    label = LABELS["heart"]
    return [
        Organ(
            LABELS["torso_fat"],
            [_pericardium(replace(local, grow=(local.grow[0] / 1.08, local.grow[1] / 1.08, local.grow[2])))],
            Material(-98, 3, 5, 4, wall_mm=0.7, wall_hu=20),
            clip="inner",
            rough=1.0,
        ),
        Organ(label, [left_ventricle, right_ventricle, *atria, base], Material(hu["myocardium"], 3, 4), rough=0.8),
        Organ(
            label,
            [
                local.ball((41, -36, 117), (20, 34, 22), angles=tilt),
                local.tube([(26, -28, 128, 13), (6, -38, 150, 11)], step=1),
            ],
            blood,
            rough=1.6,
        ),
        Organ(
            label,
            [
                local.ball((2, -55, 117), (34, 19, 31), angles=(-25, 15, 0)),
                local.tube([(8, -62, 130, 14), (16, -60, 158, 11)], step=1),
            ],
            venous_blood,
            carve=[local.ball((42, -36, 116), (32, 46, 32), angles=tilt)],
            rough=1.6,
        ),
        Organ(label, [local.ball((-26, -30, 128), (17, 23, 28))], venous_blood, rough=1.2),
        Organ(
            label,
            [local.ball((8, -2, 140), (30, 14.5, 19)), local.tube([(-22, 6, 144, 6), (38, 6, 146, 6)], step=1)],
            blood,
            rough=1.2,
        ),
        Organ(
            LABELS["atrial_appendage_left"],
            [local.tube([(30, -14, 152, 7), (44, -30, 158, 6), (42, -42, 156, 4)])],
            blood,
        ),
        *_coronaries(local, hu),
    ]


def _pericardium(local: BodyCoordinates) -> Loft:
    """Return the shape of the pericardial sac."""
    levels = (
        (84, ((-30, -40), (-20, -70), (20, -84), (62, -74), (74, -44), (56, -14), (10, -6), (-24, -14))),
        (105, ((-44, -34), (-34, -70), (10, -90), (62, -80), (84, -44), (68, -12), (16, 2), (-30, -4))),
        (130, ((-48, -30), (-38, -68), (6, -92), (52, -80), (76, -44), (64, -6), (12, 12), (-36, 4))),
        (155, ((-40, -30), (-30, -66), (2, -90), (36, -78), (52, -46), (44, -4), (8, 16), (-32, 4))),
        (180, ((-32, -36), (-24, -62), (0, -82), (22, -70), (34, -46), (28, -22), (2, -10), (-24, -18))),
    )
    return local.loft(levels, cap=(6, 16))


def _coronaries(local: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the coronary arteries, with calcifications the more likely the older the patient."""
    rng = local.rng("coronary")
    paths = [
        [(14, -48, 164, 2.0), (28, -66, 150, 1.8), (46, -76, 124, 1.5), (60, -76, 100, 1.2)],
        [(-6, -52, 160, 1.9), (-26, -62, 140, 1.8), (-24, -60, 108, 1.6)],
        [(16, -40, 162, 2.0), (44, -14, 148, 1.7), (56, -4, 122, 1.4)],
    ]
    organs = [Organ(LABELS["heart"], [local.tube(path) for path in paths], Material(hu["aorta"], 2))]
    if rng.random() < (local.build.age - 40) / 60:
        calcifications = [
            local.ball((x, y, z), (1.8, 1.8, 3.5)) for path in paths for x, y, z, _ in path[:2] if rng.random() < 0.6
        ]
        organs.append(Organ(LABELS["heart"], calcifications, Material(650, 40)))
    return organs
