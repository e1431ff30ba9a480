"""Kidneys with cortex, pyramids, sinus and pelvis; adrenals."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.viscera import breathing
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Shape


def kidneys(frame: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Cortex, pyramids, sinus fat, pelvis; adrenals above."""
    organs: list[Organ] = []
    for side, name in ((1, "left"), (-1, "right")):
        f = breathing(frame).vary(f"kidney {name}", (54 * side, 42, -35), 3.5, 0.08)
        z = -30 if side > 0 else -40
        lean = (22.0, -12.0, 14.0)
        whole = f.ball((57, 45, z), (24, 28, 54), angles=lean, side=side)
        hilum = f.ball((40, 32, z), (16, 11, 21), angles=lean, side=side, blend=4)
        sinus = f.ball((49, 38, z), (10, 10, 28), angles=lean, side=side)
        cortex = float(np.clip(f.rng("cortex").normal(6.5, 0.8), 5, 8))
        core = Material(
            hu["medulla"],
            3,
            0.10 * (hu["cortex"] - hu["medulla"]),
            0.35 * (hu["cortex"] - hu["medulla"]),
            wall_mm=cortex,
            wall_hu=hu["cortex"],
        )
        pelvis = f.tube([(48, 38, z + 8, 4), (40, 32, z, 5), (32, 28, z - 10, 3.2)], side=side)
        stem = [f.tube([(10, 14, z + 8, 3), (30, 26, z + 4, 2.8), (44, 34, z + 2, 2.4)], side=side)]
        drain = [
            f.tube(
                [(14 if side > 0 else 22, 4 if side > 0 else 14, z + 6, 4.5), (30, 22, z + 5, 4.2), (44, 32, z + 4, 3)],
                side=side,
            )
        ]
        organs += [
            Organ(
                LABELS[f"kidney_{name}"], [whole], core, carve=[hilum], clip="abdomen", keep=f"kidney_{name}", rough=0.8
            ),
            Organ(
                0, [sinus, *_calyces(f, side, z)], Material(-70, 6, 25, 10), clip=f"kidney_{name}", inset=5.0, rough=2.2
            ),
            Organ(0, [pelvis], Material(hu["renal_pelvis"], 2), rough=0.5),
            Organ(LABELS["body"], drain, Material(hu["cava"] + 15, 2)),
            Organ(LABELS["body"], stem, Material(hu["aorta"], 2)),
            _adrenal(frame, hu, side, name),
        ]
    return organs


def _calyces(f: BodyCoordinates, side: int, z: float) -> list[Shape]:
    """Spurs of the sinus towards the pyramids."""
    rng = f.rng(f"calyces {side}")
    turns = rng.uniform(-0.5, 1.9, 7)
    heights = np.linspace(-30, 30, 7) + rng.normal(0, 3, 7)
    ends = [(53 + 9 * np.cos(a), 41 + 11 * np.sin(a), z + h, 2.8) for a, h in zip(turns, heights, strict=True)]
    return [f.tube([(50, 40, 0.4 * z + 0.6 * end[2], 4.5), end], side=side, step=1, blend=3) for end in ends]


def _adrenal(frame: BodyCoordinates, hu: dict[str, float], side: int, name: str) -> Organ:
    f = breathing(frame).vary(f"adrenal {name}", (30 * side, 32, 22), 2.0, 0.10)
    if side > 0:
        limbs = [
            [(30, 16, 34, 3.6), (33, 24, 24, 4.0)],
            [(33, 24, 26, 3.6), (38, 38, 16, 3.3)],
            [(33, 24, 24, 3.6), (26, 38, 14, 3.3)],
        ]
    else:
        limbs = [
            [(24, 26, 42, 3.6), (29, 32, 30, 3.8)],
            [(29, 32, 30, 3.6), (34, 48, 20, 3.3)],
            [(29, 32, 30, 3.3), (26, 46, 20, 3.1)],
        ]
    shapes = [f.tube(limb, side=side, step=1, blend=2) for limb in limbs]
    return Organ(LABELS[f"adrenal_gland_{name}"], shapes, Material(hu["adrenal"], 3, 3), rough=0.4)


def kidney_edge(frame: BodyCoordinates, side: int, rng: np.random.Generator) -> Points:
    """A random place (x, y, z) mm on the outer edge of a kidney."""
    f = breathing(frame).vary(f"kidney {'left' if side > 0 else 'right'}", (54 * side, 42, -35), 3.5, 0.08)
    angle, height = rng.uniform(-0.4, 1.6), rng.uniform(-0.8, 0.8)
    wide = np.sqrt(1 - height**2)
    z = -30 if side > 0 else -40
    return f.place(np.array([(57 + 24 * wide * np.cos(angle)) * side, 45 + 26 * wide * np.sin(angle), z + 50 * height]))
