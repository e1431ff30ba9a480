"""Trachea with main bronchi, oesophagus, larynx and thyroid, and the fat and muscles of the neck."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.spine import spine_y
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.rasterise import MUSCLE
from lowdose.phantom.drawing.shapes import Shape


def airways(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the trachea with main bronchi, the oesophagus, the thyroid and the larynx."""
    local = body.vary("trachea", (0, -20, 260), 1.5, 0.06)
    gas = Material(-985, 2, wall_mm=1.5, wall_hu=35)
    label = LABELS["trachea"]
    y = [
        (z, -36 if z > 300 else float(np.interp(z, (200, 250, 300), (2, -10, -32))))
        for z in (445, 360, 330, 300, 270, 240, 208)
    ]
    trachea = local.tube([(0 if z > 260 else -2, y0, z, 9.4 if local.build.sex == "male" else 8.2) for z, y0 in y])
    main_bronchi = [
        local.tube([(-2, 2, 210, 8.5), (-20, 5, 194, 7.8), (-38, 6, 178, 6.5), (-44, 8, 160, 5)]),
        local.tube([(-2, 2, 210, 8.0), (20, 6, 192, 7.2), (38, 7, 178, 6.2), (46, 12, 160, 4.6)]),
    ]
    oesophagus = local.tube(
        [
            (2, spine_y(z) - depth, z, r)
            for z, depth, r in (
                (380, 16, 5),
                (330, 15, 6),
                (280, 18, 6.5),
                (240, 21, 6.5),
                (200, 24, 7),
                (160, 30, 7.5),
                (120, 30, 8),
            )
        ]
        + [(14, 4, 98, 8.5), (26, -4, 86, 9)]
    )
    lobes = [local.ball((16, -37, 322), (8.5, 10, 21), side=s, angles=(-15, 0, 0), blend=3) for s in (1, -1)]
    isthmus = local.tube([(-12, -46, 312, 3.5), (12, -46, 312, 3.5)], step=1, blend=3)
    larynx = local.loft(
        [
            (372, ((0, -58), (10, -54), (20, -42), (18, -30), (0, -26))),
            (348, ((0, -54), (10, -51), (15, -40), (12, -29), (0, -26))),
        ],
        half=True,
        cap=(6, 10),
    )
    return [
        Organ(LABELS["esophagus"], [oesophagus], Material(hu["gut_wall"] - 10, 3, 6, 6), rough=0.6),
        Organ(
            LABELS["esophagus"],
            [local.tube([(2.5, spine_y(z) - 24, z, 1.6) for z in (230, 190, 160)])],
            Material(-500, 50, 120),
        ),
        Organ(LABELS["thyroid_gland"], [*lobes, isthmus], Material(hu["thyroid"], 4, 8), rough=1.0),
        Organ(LABELS["body"], [larynx], Material(85, 5, 20, 20, kind=MUSCLE, share=0.03, wall_mm=1.5, wall_hu=180)),
        Organ(label, [trachea, *main_bronchi], gas, rough=0.3),
    ]


def neck(body: BodyCoordinates) -> list[Organ]:
    """Return the fat and the muscles of the neck, above the wall of the trunk."""
    muscle = Material(58, 3, 4, kind=MUSCLE, share=0.0)
    fat = body.loft(
        [
            (296, ((0, -48), (40, -58), (62, -44), (56, -22), (30, -8), (0, -10))),
            (330, ((0, -56), (38, -50), (58, -32), (54, -8), (30, 2), (0, -8))),
            (445, ((0, -54), (28, -50), (44, -30), (46, -6), (26, 4), (0, -4))),
        ],
        half=True,
        cap=(10, 5),
    )
    muscles: list[Shape] = []
    for side in (1, -1):
        muscles += [
            body.tube(
                [(16, -64, 270, 7), (26, -56, 300, 8), (38, -44, 335, 9), (48, -18, 380, 9), (52, 8, 445, 8)],
                side=side,
                flat=1.25,
            ),
            body.tube([(7, -50, 290, 4), (8, -52, 330, 4), (8, -56, 350, 3)], side=side),
            body.tube([(9, spine_y(300) - 11, 296, 4), (9, spine_y(350) - 11, 350, 5.5), (9, -2, 445, 5)], side=side),
            body.tube([(30, 8, 306, 6), (32, 6, 320, 8), (28, 4, 360, 7), (24, 6, 445, 6)], side=side),
        ]
    return [
        Organ(LABELS["torso_fat"], [fat], Material(-95, 4, 8, 8)),
        Organ(LABELS["skeletal_muscle"], muscles, muscle, rough=0.6),
    ]
