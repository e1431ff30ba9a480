"""Aorta with plaque and its branches to head and arms, venae cavae and pulmonary vessels."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Shape


def great_vessels(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the aorta, its branches to head and arms, the superior vena cava and the pulmonary vessels."""
    local = body.vary("arch", (0, -20, 200), 2.0, 0.06)
    dilation = 1.0 + 0.004 * (body.build.age - 50)
    arterial, venous, pulmonary = (
        Material(hu["aorta"], 2, 2),
        Material(hu["right_heart"], 2, 4, 4),
        Material(hu["pulmonary"], 2, 2),
    )
    trunk = local.tube([(14, -60, 156, 13), (20, -48, 172, 13.5), (18, -32, 184, 13)])
    right = local.tube([(16, -32, 184, 11), (-12, -14, 184, 10.5), (-36, -4, 181, 9), (-50, 0, 176, 7)])
    left = local.tube([(20, -32, 186, 11), (38, -8, 190, 10), (48, 8, 182, 8.5), (50, 12, 166, 7)])
    organs = [
        Organ(
            LABELS["superior_vena_cava"],
            [local.tube([(-24, -26, 150, 9.5), (-24, -30, 180, 9), (-22, -36, 215, 8.5), (-22, -40, 238, 8)])],
            venous,
        ),
        Organ(LABELS["pulmonary_artery"], [trunk, right, left], pulmonary),
        Organ(
            LABELS["pulmonary_vein"],
            [local.tube([(-20, 4, 146, 7), (-44, 2, 152, 6)], side=s, step=1) for s in (1, -1)],
            arterial,
        ),
        Organ(LABELS["aorta"], [_aorta(local, dilation)], arterial),
    ]
    return [*organs, *_plaque(local, dilation), *_head_and_arm_vessels(local, hu)]


def _aorta(local: BodyCoordinates, dilation: float) -> Shape:
    nodes = [
        (4, -40, 152, 15),
        (-2, -44, 176, 15),
        (-4, -44, 205, 14.5),
        (0, -36, 224, 14),
        (10, -16, 232, 13.5),
        (19, 6, 228, 13),
        (23, 18, 212, 12.5),
        (23, 24, 185, 12.2),
        (21, 28, 150, 11.8),
        (17, 28, 110, 11.2),
        (11, 24, 70, 10.8),
        (8, 16, 30, 10.4),
        (8, 11, 0, 9.8),
        (9, 9, -50, 9.2),
        (8, 10, -95, 8.8),
        (5, 12, -116, 9),
    ]
    return local.tube([(x, y, z, r * dilation) for x, y, z, r in nodes])


def _plaque(local: BodyCoordinates, dilation: float) -> list[Organ]:
    """Return calcified plaques on the wall of the aorta, more with age."""
    rng = local.rng("plaque")
    count = int(rng.poisson(max(local.build.age - 52, 0) * 0.35))
    shapes = []
    for _ in range(count):
        z = float(rng.uniform(-112, 140))
        x = float(np.interp(z, (-110, -40, 10, 75, 150), (7, 9, 8, 12, 21)))
        y = float(np.interp(z, (-110, -50, 0, 30, 70, 110, 150), (12, 9, 11, 16, 24, 28, 28)))
        r = float(np.interp(z, (-110, 0, 150), (8.7, 9.7, 11.7))) * dilation
        a = rng.uniform(0, 2 * np.pi)
        half_length = float(rng.uniform(1.5, 4.5))
        shapes.append(
            local.ball(
                (x + r * np.sin(a), y + r * np.cos(a), z),
                (half_length, 1.3, half_length * 1.3),
                angles=(float(-np.degrees(a)), 0, 0),
            )
        )
    return [Organ(LABELS["aorta"], shapes, Material(720, 60, 60))] if shapes else []


def _head_and_arm_vessels(local: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the arteries and veins of the head and the arms."""
    arterial, venous = Material(hu["aorta"], 2), Material(hu["vein"], 2, 3)
    organs = [
        Organ(
            LABELS["brachiocephalic_trunk"],
            [local.tube([(-2, -36, 230, 7), (-12, -34, 250, 6.5), (-20, -28, 266, 6)])],
            arterial,
        ),
        Organ(
            LABELS["brachiocephalic_vein_left"],
            [local.tube([(-20, -44, 238, 7.5), (4, -54, 248, 7), (26, -46, 260, 7), (34, -34, 278, 6.5)])],
            venous,
        ),
        Organ(
            LABELS["brachiocephalic_vein_right"],
            [local.tube([(-22, -40, 238, 8), (-28, -38, 258, 7), (-34, -34, 278, 6.5)])],
            venous,
        ),
    ]
    for side, name in ((1, "left"), (-1, "right")):
        start = (8, -26, 238, 4.2) if side > 0 else (22, -28, 266, 4.4)
        below = (14, -10, 236, 5.2) if side > 0 else (22, -26, 264, 5.2)
        organs += [
            Organ(
                LABELS[f"common_carotid_artery_{name}"],
                [
                    local.tube(
                        [start, (20, -26, 285, 3.7), (25, -22, 330, 3.6), (28, -18, 375, 4.4), (29, -8, 445, 3)],
                        side=side,
                    )
                ],
                arterial,
            ),
            Organ(
                LABELS[f"subclavian_artery_{name}"],
                [
                    local.tube(
                        [below, (33, -18, 288, 5), (60, -22, 302, 4.6), (95, -20, 290, 4.2), (130, -14, 270, 4)],
                        side=side,
                    )
                ],
                arterial,
            ),
            Organ(
                LABELS["body"],
                [
                    local.tube(
                        [(34, -34, 276, 6.5), (36, -28, 320, 6), (36, -16, 365, 5.5), (34, -4, 445, 4.5)], side=side
                    ),
                    local.tube(
                        [(34, -36, 276, 6), (66, -40, 292, 5.5), (100, -30, 288, 5), (132, -20, 268, 5)], side=side
                    ),
                ],
                venous,
            ),
        ]
    return organs
