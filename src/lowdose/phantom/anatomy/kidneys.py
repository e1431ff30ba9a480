"""Kidneys with cortex, pyramids, sinus and renal pelvis, and the adrenal glands."""

from __future__ import annotations

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.viscera import breathing
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Shape


def kidneys(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return both kidneys with cortex, pyramids, sinus fat, renal pelvis and vessels, and the adrenal glands."""
    organs: list[Organ] = []
    for side, name in ((1, "left"), (-1, "right")):
        local = breathing(body).vary(f"kidney {name}", (54 * side, 42, -35), 3.5, 0.08)
        z = -30 if side > 0 else -40
        tilt = (22.0, -12.0, 14.0)
        whole = local.ball((57, 45, z), (24, 28, 54), angles=tilt, side=side)
        hilum = local.ball((40, 32, z), (16, 11, 21), angles=tilt, side=side, blend=4)
        sinus = local.ball((49, 38, z), (10, 10, 28), angles=tilt, side=side)
        cortex = float(np.clip(local.rng("cortex").normal(6.5, 0.8), 5, 8))
        core = Material(
            hu["medulla"],
            3,
            0.10 * (hu["cortex"] - hu["medulla"]),
            0.35 * (hu["cortex"] - hu["medulla"]),
            wall_mm=cortex,
            wall_hu=hu["cortex"],
        )
        pelvis = local.tube([(48, 38, z + 8, 4), (40, 32, z, 5), (32, 28, z - 10, 3.2)], side=side)
        renal_artery = [local.tube([(10, 14, z + 8, 3), (30, 26, z + 4, 2.8), (44, 34, z + 2, 2.4)], side=side)]
        renal_vein = [
            local.tube(
                [(14 if side > 0 else 22, 4 if side > 0 else 14, z + 6, 4.5), (30, 22, z + 5, 4.2), (44, 32, z + 4, 3)],
                side=side,
            )
        ]
        organs += [
            Organ(
                LABELS[f"kidney_{name}"], [whole], core, carve=[hilum], clip="abdomen", keep=f"kidney_{name}", rough=0.8
            ),
            Organ(
                0,
                [sinus, *_calyces(local, side, z)],
                Material(-70, 6, 25, 10),
                clip=f"kidney_{name}",
                inset=5.0,
                rough=2.2,
            ),
            Organ(0, [pelvis], Material(hu["renal_pelvis"], 2), rough=0.5),
            Organ(LABELS["body"], renal_vein, Material(hu["cava"] + 15, 2)),
            Organ(LABELS["body"], renal_artery, Material(hu["aorta"], 2)),
            _adrenal(body, hu, side, name),
        ]
    return organs


def _calyces(local: BodyCoordinates, side: int, z: float) -> list[Shape]:
    """Return the extensions of the sinus towards the pyramids."""
    rng = local.rng(f"calyces {side}")
    directions = rng.uniform(-0.5, 1.9, 7)
    heights = np.linspace(-30, 30, 7) + rng.normal(0, 3, 7)
    ends = [(53 + 9 * np.cos(a), 41 + 11 * np.sin(a), z + h, 2.8) for a, h in zip(directions, heights, strict=True)]
    return [local.tube([(50, 40, 0.4 * z + 0.6 * end[2], 4.5), end], side=side, step=1, blend=3) for end in ends]


def _adrenal(body: BodyCoordinates, hu: dict[str, float], side: int, name: str) -> Organ:
    local = breathing(body).vary(f"adrenal {name}", (30 * side, 32, 22), 2.0, 0.10)
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
    shapes = [local.tube(limb, side=side, step=1, blend=2) for limb in limbs]
    return Organ(LABELS[f"adrenal_gland_{name}"], shapes, Material(hu["adrenal"], 3, 3), rough=0.4)


def kidney_edge(body: BodyCoordinates, side: int, rng: np.random.Generator) -> Points:
    """Draw a random point (x, y, z) in mm on the outer edge of the left (side 1) or right (-1) kidney."""
    local = breathing(body).vary(f"kidney {'left' if side > 0 else 'right'}", (54 * side, 42, -35), 3.5, 0.08)
    angle, height = rng.uniform(-0.4, 1.6), rng.uniform(-0.8, 0.8)
    wide = np.sqrt(1 - height**2)
    z = -30 if side > 0 else -40
    return local.place(
        np.array([(57 + 24 * wide * np.cos(angle)) * side, 45 + 26 * wide * np.sin(angle), z + 50 * height])
    )
