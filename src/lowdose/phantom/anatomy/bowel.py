"""Stomach, duodenum, small bowel and colon with gas, fluid and faeces, and the mesentery around them."""

from __future__ import annotations

import itertools

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.body import Trunk
from lowdose.phantom.anatomy.vessels import scatter
from lowdose.phantom.anatomy.viscera import breathing
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.rasterise import FAECES, FAR, FAT
from lowdose.phantom.drawing.shapes import Tube, tube

# Centre line of the colon from caecum to anus: (x, y, z, radius), mm.
_COLON = (
    (-80, 0, -158, 19), (-88, 4, -140, 25), (-92, 12, -110, 25), (-94, 16, -75, 24), (-92, 8, -42, 23), (-80, -14,
     -26, 22),
    (-66, -34, -30, 21), (-40, -42, -46, 20), (-8, -45, -56, 20), (26, -45, -50, 20), (58, -42, -20, 20), (80, -28,
     18, 20),
    (98, -4, 48, 19), (108, 20, 42, 18), (106, 34, 10, 17), (100, 40, -30, 16), (98, 36, -75, 15), (96, 26, -115, 15),
    (86, 6, -155, 15), (66, -6, -190, 15), (34, 2, -208, 16), (4, 6, -196, 17), (-22, 22, -200, 16), (-18, 52,
     -212, 15),
    (0, 78, -222, 15), (4, 92, -244, 18), (0, 90, -272, 20), (0, 82, -298, 17), (0, 76, -322, 10),
)  # fmt: skip


def mesentery(body: BodyCoordinates) -> list[Organ]:
    """Return the mesenteric fat, the region of the vessels of the bowel."""
    room = body.loft(
        [
            (10, ((0, -50), (50, -48), (80, -30), (88, 0), (60, 8), (30, -4), (0, -10))),
            (-120, ((0, -40), (50, -34), (84, -16), (96, 8), (60, 12), (30, 0), (0, -4))),
            (-160, ((0, -38), (40, -32), (76, -14), (84, 4), (60, 10), (30, 10), (0, 14))),
        ],
        half=True,
        cap=(20, 12),
    )
    return [
        Organ(LABELS["torso_fat"], [room], Material(-102, 3, 6, 6, kind=FAT, share=0.05), clip="inner", keep="gut fat")
    ]


def stomach(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the stomach with food, fluid or gas, and the duodenum."""
    local = breathing(body).vary("stomach", (50, -20, 40), 4.0, 0.08)
    rng = body.rng("meal")
    fullness = float(rng.uniform(0.72, 1.12))
    bag = local.tube(
        [
            (66, 32, 84, 25 * fullness),
            (68, 10, 80, 31 * fullness),
            (66, -10, 64, 32 * fullness),
            (53, -30, 40, 29 * fullness),
            (38, -43, 16, 24 * fullness),
            (18, -48, 0, 18 * fullness),
            (-4, -42, -2, 15 * fullness),
            (-20, -34, 2, 10),
        ],
        blend=6,
    )
    level = float(local.place(np.array([50.0, rng.uniform(-62, -18), 40.0]))[1]) if rng.random() < 0.8 else -FAR
    food = Material(
        float(rng.uniform(5, 45)), 4, 5, 8 * float(rng.random()), wall_mm=3.2, wall_hu=hu["gut_wall"], gas_y=level
    )
    duodenum_local = body.vary("duodenum", (-20, 5, -40), 2.5, 0.06)
    loop = duodenum_local.tube(
        [
            (-20, -34, 2, 10),
            (-34, -26, 4, 13),
            (-46, -8, -6, 12),
            (-50, 8, -28, 12.5),
            (-46, 12, -52, 12.5),
            (-32, 6, -70, 12),
            (-8, -4, -74, 11),
            (16, -6, -70, 11),
            (30, -2, -52, 11),
            (34, -12, -40, 11),
        ]
    )
    return [
        Organ(
            LABELS["duodenum"],
            [loop],
            Material(float(rng.uniform(15, 40)), 4, 10, 14, wall_mm=2.6, wall_hu=hu["gut_wall"]),
            rough=1.4,
        ),
        Organ(LABELS["stomach"], [bag], food, clip="abdomen", rough=2.2),
    ]


def small_bowel(body: BodyCoordinates, trunk: Trunk, hu: dict[str, float]) -> list[Organ]:
    """Return the loops of the small bowel in the middle of the abdomen, collapsed or filled."""
    rng = body.rng("small bowel")
    path = _loops(rng)
    room = np.array([(13, 0, 0), (-13, 0, 0), (0, -12, 0), (0, 8, 0)])
    path = path[np.all([trunk.inner.holds(body.place(path + step)) for step in room], axis=0)]
    organs = []
    swell = rng.uniform(9.0, 12.5) * np.clip(rng.normal(1, 0.13, len(path)), 0.75, 1.3) * body.scale
    placed = np.concatenate([body.place(path), swell[:, None]], axis=1)
    gassy, fluid = rng.uniform(0.0, 0.25), float(rng.uniform(8, 40))
    # Short pieces are painted over each other, so that neighbouring loops keep their walls.
    for k in range(0, len(path) - 2, 2):
        piece = placed[k : k + 3]
        collapsed, gas = rng.random() < 0.45, rng.random() < gassy
        level = float(piece[:, 1].mean()) + float(rng.uniform(-8, 4)) if gas else -FAR
        wall = 6.0 if collapsed else 2.2
        filling = Material(
            fluid + float(rng.uniform(-8, 8)),
            4,
            8,
            8,
            wall_mm=wall,
            wall_hu=hu["gut_wall"] + float(rng.uniform(-4, 14)),
            gas_y=level,
        )
        shrunk = piece * (1, 1, 1, 0.82 if collapsed else 1.0)
        organs.append(Organ(LABELS["small_bowel"], [tube(shrunk, step=6)], filling, clip="inner", rough=1.2))
    return organs


def _loops(rng: np.random.Generator) -> Points:
    """Return a path through evenly spread points that always continues to the nearest point left."""
    upper = scatter((0, -44, -90), (88, 26, 6), 44, rng)
    lower = scatter((-76, -42, -205), (78, 16, -75), 68, rng)
    deep = scatter((-50, -20, -235), (50, 40, -200), 10, rng)
    remaining = list(np.concatenate([upper, lower, deep]))
    path = [remaining.pop(0)]
    while remaining:
        gaps = [float(np.linalg.norm((point - path[-1]) * (1, 1, 1.5))) for point in remaining]
        path.append(remaining.pop(int(np.argmin(gaps))))
    return np.array(path)


def colon(body: BodyCoordinates, hu: dict[str, float]) -> list[Organ]:
    """Return the colon from caecum to anus, with haustra and contents that change along the way."""
    local = body.vary("colon", (0, 0, -80), 3.0, 0.03)
    rng = body.rng("faeces")
    nodes = np.array(_COLON, float)
    nodes[1:-7, :3] += rng.normal(0, 4.0, (len(nodes) - 8, 3))
    sag = float(rng.uniform(-45, 15))
    nodes[7:11, 2] += sag * np.array([0.7, 1.0, 1.0, 0.5])
    smooth = local.tube(nodes.tolist(), step=6)
    haustrated = _haustra(smooth, rng)
    limits = [0, 24, 48, 72, 96, 120, 138, len(haustrated.rods)]
    organs = []
    for k, (a, b) in enumerate(itertools.pairwise(limits)):
        piece = Tube(haustrated.rods[a:b], blend=3.0)
        gas = rng.random() < (0.35, 0.3, 0.6, 0.45, 0.25, 0.4, 0.5)[k]
        level = float(piece.rods[:, 1].mean()) + float(rng.uniform(-9, 9)) if gas else -FAR
        solid = rng.random() < 0.7
        share = float(rng.uniform(0.35, 1.2)) if solid else 3.0
        filling = Material(
            float(rng.uniform(-20, 45)),
            10,
            22 if solid else 5,
            14,
            wall_mm=1.8,
            wall_hu=hu["gut_wall"] - 8,
            kind=FAECES,
            share=share,
            gas_y=level,
        )
        organs.append(Organ(LABELS["colon"], [piece], filling, clip="inner", rough=1.6))
    return organs


def _haustra(path: Tube, rng: np.random.Generator) -> Tube:
    """Modulate the radius along a tube as haustra do."""
    rods = path.rods.copy()
    lengths = np.linalg.norm(rods[:, 3:6] - rods[:, 0:3], axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    phase = along / 32.0 * 2 * np.pi + np.cumsum(rng.normal(0, 0.25, len(along)))
    swell = 1.0 + 0.13 * np.sin(phase) + 0.06 * rng.normal(size=len(along))
    rods[:, 6] *= swell[:-1]
    rods[:, 7] *= swell[1:]
    return Tube(rods)
