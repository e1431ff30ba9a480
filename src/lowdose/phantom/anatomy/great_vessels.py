"""Aorta with plaque and its branches to head and arms, caval veins, pulmonary vessels."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Shape


def great_vessels(frame: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Aorta down to the diaphragm, its branches to head and arms, caval and pulmonary vessels."""
    f = frame.vary("arch", (0, -20, 200), 2.0, 0.06)
    wide = 1.0 + 0.004 * (frame.build.age - 50)
    art, ven, pul = Material(hu["aorta"], 2, 2), Material(hu["right_heart"], 2, 4, 4), Material(hu["pulmonary"], 2, 2)
    trunk = f.tube([(14, -60, 156, 13), (20, -48, 172, 13.5), (18, -32, 184, 13)])
    right = f.tube([(16, -32, 184, 11), (-12, -14, 184, 10.5), (-36, -4, 181, 9), (-50, 0, 176, 7)])
    left = f.tube([(20, -32, 186, 11), (38, -8, 190, 10), (48, 8, 182, 8.5), (50, 12, 166, 7)])
    organs = [
        Organ(
            LABELS["superior_vena_cava"],
            [f.tube([(-24, -26, 150, 9.5), (-24, -30, 180, 9), (-22, -36, 215, 8.5), (-22, -40, 238, 8)])],
            ven,
        ),
        Organ(LABELS["pulmonary_artery"], [trunk, right, left], pul),
        Organ(
            LABELS["pulmonary_vein"],
            [f.tube([(-20, 4, 146, 7), (-44, 2, 152, 6)], side=s, step=1) for s in (1, -1)],
            art,
        ),
        Organ(LABELS["aorta"], [_aorta(f, wide)], art),
    ]
    return [*organs, *_plaque(f, wide), *_to_head(f, hu)]


def _aorta(f: BodyCoordinates, wide: float) -> Shape:
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
    return f.tube([(x, y, z, r * wide) for x, y, z, r in nodes])


def _plaque(f: BodyCoordinates, wide: float) -> list[Organ]:
    rng = f.rng("plaque")
    count = int(rng.poisson(max(f.build.age - 52, 0) * 0.35))
    shapes = []
    for _ in range(count):
        z = float(rng.uniform(-112, 140))
        x = float(np.interp(z, (-110, -40, 10, 75, 150), (7, 9, 8, 12, 21)))
        y = float(np.interp(z, (-110, -50, 0, 30, 70, 110, 150), (12, 9, 11, 16, 24, 28, 28)))
        r = float(np.interp(z, (-110, 0, 150), (8.7, 9.7, 11.7))) * wide
        a = rng.uniform(0, 2 * np.pi)
        long = float(rng.uniform(1.5, 4.5))
        shapes.append(
            f.ball(
                (x + r * np.sin(a), y + r * np.cos(a), z), (long, 1.3, long * 1.3), angles=(float(-np.degrees(a)), 0, 0)
            )
        )
    return [Organ(LABELS["aorta"], shapes, Material(720, 60, 60))] if shapes else []


def _to_head(f: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    art, ven = Material(hu["aorta"], 2), Material(hu["vein"], 2, 3)
    organs = [
        Organ(
            LABELS["brachiocephalic_trunk"],
            [f.tube([(-2, -36, 230, 7), (-12, -34, 250, 6.5), (-20, -28, 266, 6)])],
            art,
        ),
        Organ(
            LABELS["brachiocephalic_vein_left"],
            [f.tube([(-20, -44, 238, 7.5), (4, -54, 248, 7), (26, -46, 260, 7), (34, -34, 278, 6.5)])],
            ven,
        ),
        Organ(
            LABELS["brachiocephalic_vein_right"],
            [f.tube([(-22, -40, 238, 8), (-28, -38, 258, 7), (-34, -34, 278, 6.5)])],
            ven,
        ),
    ]
    for side, name in ((1, "left"), (-1, "right")):
        start = (8, -26, 238, 4.2) if side > 0 else (22, -28, 266, 4.4)
        below = (14, -10, 236, 5.2) if side > 0 else (22, -26, 264, 5.2)
        organs += [
            Organ(
                LABELS[f"common_carotid_artery_{name}"],
                [
                    f.tube(
                        [start, (20, -26, 285, 3.7), (25, -22, 330, 3.6), (28, -18, 375, 4.4), (29, -8, 445, 3)],
                        side=side,
                    )
                ],
                art,
            ),
            Organ(
                LABELS[f"subclavian_artery_{name}"],
                [
                    f.tube(
                        [below, (33, -18, 288, 5), (60, -22, 302, 4.6), (95, -20, 290, 4.2), (130, -14, 270, 4)],
                        side=side,
                    )
                ],
                art,
            ),
            Organ(
                LABELS["body"],
                [
                    f.tube(
                        [(34, -34, 276, 6.5), (36, -28, 320, 6), (36, -16, 365, 5.5), (34, -4, 445, 4.5)], side=side
                    ),
                    f.tube([(34, -36, 276, 6), (66, -40, 292, 5.5), (100, -30, 288, 5), (132, -20, 268, 5)], side=side),
                ],
                ven,
            ),
        ]
    return organs
