"""Outline of the body: skin, subcutaneous fat, muscular wall, the cavity inside, breasts and arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.rasterise import FAT, MUSCLE, MUSCLE_LAYERS, REGION_ONLY
from lowdose.phantom.drawing.shapes import Loft, Shape

# Outer surface of the muscles and bones of the trunk, left half from front to back: (z, contour of (x, y)), mm.
CORE = (
    (415, ((0, -58), (30, -54), (48, -36), (56, -8), (55, 18), (46, 42), (25, 57), (0, 57))),
    (360, ((0, -62), (30, -58), (50, -38), (60, -8), (62, 20), (52, 44), (28, 60), (0, 60))),
    (338, ((0, -62), (34, -56), (55, -38), (74, -12), (90, 14), (76, 42), (40, 62), (0, 62))),
    (318, ((0, -60), (45, -52), (95, -56), (158, -44), (190, -8), (160, 36), (80, 66), (0, 68))),
    (272, ((0, -72), (50, -80), (100, -82), (160, -52), (192, -14), (164, 48), (85, 88), (0, 86))),
    (230, ((0, -94), (55, -98), (102, -90), (148, -54), (180, -6), (164, 52), (82, 99), (0, 96))),
    (190, ((0, -106), (55, -106), (104, -94), (140, -52), (164, 2), (156, 60), (80, 102), (0, 100))),
    (150, ((0, -109), (55, -106), (102, -86), (134, -42), (152, 8), (142, 66), (72, 108), (0, 105))),
    (120, ((0, -104), (52, -101), (98, -81), (130, -36), (143, 12), (132, 68), (66, 112), (0, 109))),
    (56, ((0, -91), (50, -89), (100, -69), (132, -24), (141, 18), (126, 73), (61, 117), (0, 113))),
    (0, ((0, -78), (50, -74), (98, -54), (128, -12), (137, 27), (118, 78), (60, 119), (0, 113))),
    (-46, ((0, -68), (50, -63), (93, -48), (122, -10), (130, 28), (109, 76), (58, 117), (0, 109))),
    (-80, ((0, -58), (50, -56), (94, -40), (122, -5), (132, 32), (113, 74), (58, 114), (0, 104))),
    (-122, ((0, -53), (50, -49), (95, -33), (126, 0), (136, 30), (108, 76), (56, 112), (0, 100))),
    (-168, ((0, -50), (50, -46), (95, -29), (119, -6), (132, 20), (119, 68), (74, 106), (0, 106))),
    (-202, ((0, -52), (50, -48), (95, -31), (125, -6), (141, 35), (130, 86), (76, 119), (0, 119))),
    (-236, ((0, -48), (45, -46), (86, -30), (126, -20), (146, 22), (143, 74), (75, 127), (0, 128))),
    (-270, ((0, -42), (40, -42), (76, -26), (115, -46), (154, -8), (155, 54), (88, 112), (0, 124))),
    (-312, ((0, -40), (36, -42), (72, -36), (116, -52), (154, -6), (153, 62), (90, 114), (0, 104))),
    (-360, ((0, -26), (34, -40), (80, -56), (128, -46), (154, 5), (141, 66), (82, 100), (14, 80))),
)
_FAT = {  # mm of subcutaneous fat at eight points from front to back, by height
    415: (5, 5, 4, 4, 4, 5, 6, 6), 345: (6, 6, 5, 6, 6, 8, 10, 10), 310: (6, 7, 6, 6, 7, 9, 12, 10),
    230: (7, 8, 9, 9, 8, 9, 11, 12), 150: (8, 9, 10, 10, 11, 12, 11, 13), 90: (12, 11, 12, 12, 13, 14, 12, 15),
    20: (18, 16, 15, 14, 16, 18, 14, 17), -70: (25, 22, 19, 17, 20, 26, 18, 26), -150: (26, 25, 21, 19, 25, 34, 24, 32),
    -220: (22, 21, 18, 18, 28, 36, 30, 26), -290: (18, 16, 12, 14, 28, 32, 28, 28), -370: (12, 12, 12, 13, 22, 24,
        22, 20),
}  # fmt: skip
# Inner surface of the wall of chest, abdomen and pelvis, in the same form.
INNER = (
    (290, ((0, -42), (28, -46), (48, -42), (64, -26), (70, -4), (64, 18), (48, 36), (24, 38), (0, 24))),
    (272, ((0, -50), (30, -56), (58, -52), (80, -32), (88, -4), (84, 24), (66, 47), (36, 54), (0, 30))),
    (230, ((0, -80), (40, -88), (72, -83), (97, -60), (115, -15), (113, 27), (88, 70), (48, 82), (0, 48))),
    (190, ((0, -92), (42, -98), (77, -93), (104, -68), (124, -22), (122, 28), (96, 74), (54, 90), (0, 60))),
    (150, ((0, -98), (45, -101), (80, -94), (109, -69), (127, -22), (126, 30), (100, 76), (55, 93), (0, 65))),
    (115, ((0, -92), (50, -93), (86, -82), (112, -57), (127, -17), (126, 33), (99, 77), (56, 94), (0, 68))),
    (56, ((0, -80), (50, -78), (90, -64), (115, -28), (126, 14), (117, 55), (90, 83), (56, 94), (0, 66))),
    (0, ((0, -67), (50, -63), (89, -46), (115, -10), (121, 28), (105, 69), (82, 84), (52, 88), (0, 58))),
    (-46, ((0, -57), (50, -52), (86, -38), (111, -6), (116, 30), (97, 66), (76, 78), (52, 74), (0, 50))),
    (-80, ((0, -48), (50, -45), (87, -30), (109, -2), (114, 30), (98, 66), (78, 72), (52, 66), (0, 48))),
    (-122, ((0, -44), (50, -39), (88, -24), (110, 4), (112, 24), (92, 44), (66, 54), (44, 50), (0, 40))),
    (-168, ((0, -42), (50, -37), (88, -18), (102, 6), (90, 24), (64, 40), (52, 52), (38, 60), (0, 54))),
    (-202, ((0, -44), (50, -38), (84, -20), (90, 6), (75, 32), (64, 58), (54, 78), (32, 86), (0, 86))),
    (-236, ((0, -40), (45, -37), (68, -17), (70, 18), (62, 46), (58, 74), (48, 94), (28, 104), (0, 104))),
    (-270, ((0, -34), (34, -32), (50, -15), (56, 14), (56, 42), (53, 66), (42, 90), (22, 104), (0, 105))),
    (-312, ((0, -14), (16, -13), (30, 2), (40, 22), (42, 42), (37, 62), (27, 76), (13, 86), (0, 88))),
    (-338, ((0, 2), (8, 4), (16, 14), (22, 28), (22, 44), (19, 54), (14, 62), (7, 68), (0, 70))),
)


@dataclass(frozen=True)
class Trunk:
    """Surfaces of the trunk of one patient.

    Attributes
    ----------
    skin : Loft
        Skin.
    core : Loft
        Outer surface of the muscular wall.
    inner : Loft
        Inner surface of the wall.
    lowest : mm
        Largest y of the back, which rests on the couch.
    """

    skin: Loft
    core: Loft
    inner: Loft
    lowest: float


def trunk(body: BodyCoordinates) -> Trunk:
    """Build the surfaces of the trunk to which all else is fitted."""
    core = body.loft(CORE, half=True, cap=(200, 200))
    skin = Loft(core.levels, _skin_contours(core, body), core.cap)
    inner = body.loft(INNER, half=True, cap=(8, 12))
    torso = skin.contours[(skin.levels < 300) & (skin.levels > -300)]
    return Trunk(skin, core, inner, float(torso[..., 1].max()))


def _skin_contours(core: Loft, body: BodyCoordinates) -> Points:
    """Return the contours of the skin: those of the core, moved outward by the thickness of the fat."""
    heights = sorted(_FAT)
    table = np.array([_FAT[z] for z in heights], float)
    variation = body.rng("fat").normal(1.0, 0.10, 8)
    reference = core.levels / body.build.size[2]
    thick = np.stack([np.interp(reference, heights, table[:, k] * variation[k]) for k in range(8)], axis=1)
    thick = np.concatenate([thick, thick[:, -2:0:-1]], axis=1)
    thick = 2.5 + thick * body.build.fat
    ahead, behind = np.roll(core.contours, -1, axis=1), np.roll(core.contours, 1, axis=1)
    along = ahead - behind
    outward = np.stack([along[..., 1], -along[..., 0]], axis=-1)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    middle = core.contours.mean(axis=1, keepdims=True)
    outward *= np.sign(((core.contours - middle) * outward).sum(axis=-1, keepdims=True))
    return np.asarray(core.contours + outward * thick[..., None], float)


def outline(body: BodyCoordinates, trunk: Trunk) -> list[Organ]:
    """Return skin, subcutaneous fat, muscular wall and the fat of the cavity, from outside to inside."""
    shapes: list[Shape] = [trunk.skin, *_breasts(body), *_arms(body, 0.0)]
    muscle = _muscle(body)
    wall = Material(muscle.hu, 3.0, 4.0, 2.0, kind=MUSCLE_LAYERS, share=muscle.share)
    return [
        Organ(LABELS["body"], shapes, Material(12, 4), keep="body"),
        Organ(
            LABELS["subcutaneous_fat"],
            [*_inner_skin(trunk, body), *_breasts(body, -2.0), *_arms(body, -2.0)],
            Material(-106, 3, 4, 4, kind=FAT, share=0.028),
        ),
        *_glands(body),
        Organ(LABELS["skeletal_muscle"], _arms(body, -8 - 6 * body.build.fat), muscle),
        Organ(0, [trunk.inner], Material(0, kind=REGION_ONLY), keep="inner"),
        Organ(LABELS["skeletal_muscle"], [trunk.core], wall, clip="inner"),
        *_thin_wall(body, trunk),
        Organ(LABELS["torso_fat"], [trunk.inner], Material(-102, 3, 5, 5, kind=FAT, share=0.03), keep="inner"),
    ]


def _thin_wall(body: BodyCoordinates, trunk: Trunk) -> list[Organ]:
    """Return the fat where the wall is thin in front: the linea alba and the lateral edges of the rectus muscles."""
    wedges: list[Shape] = []
    rng = body.rng("front")
    wide, deep, lateral = rng.uniform(0.02, 0.08), rng.uniform(0.2, 0.6), rng.uniform(0.52, 0.62)
    for at in (0.0, lateral, -lateral):
        contours, levels = [], []
        for z in (38.0, 0.0, -40.0, -80.0, -120.0, -160.0, -195.0):
            z *= body.build.size[2]
            outer, inner = trunk.core.section(z), trunk.inner.section(z)
            if outer is not None and inner is not None:
                half = float(np.abs(outer[:, 0]).max())
                spots = [(at - wide) * half, (at - 0.4 * wide) * half, (at + 0.4 * wide) * half, (at + wide) * half]
                top = [(x, _front_y(outer, x) - 1.0) for x in spots]
                tip = (at * half, (1 - deep) * _front_y(outer, at * half) + deep * _front_y(inner, at * half))
                contours.append([*top, tip])
                levels.append(z)
        wedges.append(Loft(np.array(levels), np.array(contours), (20, 20)))
    return [Organ(LABELS["subcutaneous_fat"], wedges, Material(-104, 3, 4, 4))]


def _front_y(ring: Points, x: float) -> float:
    """Return the y of the front of a contour at x."""
    front = ring[ring[:, 1] < ring[:, 1].mean()]
    order = np.argsort(front[:, 0])
    return float(np.interp(x, front[order, 0], front[order, 1]))


def _muscle(body: BodyCoordinates) -> Material:
    muscle_hu = 60 - 0.28 * max(body.build.age - 50, 0)
    return Material(muscle_hu, 3.0, 4.0, 2.0, kind=MUSCLE, share=0.0011 * (body.build.age - 45))


def _inner_skin(trunk: Trunk, body: BodyCoordinates) -> list[Shape]:
    """Return the inner surface of the skin, 1.2 to 1.9 mm below its outer one."""
    thickness = 1.2 + 0.7 * float(body.rng("skin").random())
    contours = trunk.skin.contours
    middle = contours.mean(axis=1, keepdims=True)
    ray = contours - middle
    inner = middle + ray * (1 - thickness / np.linalg.norm(ray, axis=-1, keepdims=True))
    return [Loft(trunk.skin.levels, inner, trunk.skin.cap)]


def _breasts(body: BodyCoordinates, margin: float = 0.0) -> list[Shape]:
    """Return the shapes of the breasts, larger by ``margin`` mm on every side."""
    if body.build.sex != "female":
        return []
    local = body.vary("breast", (0, -110, 150), 6, 0.15)
    size = 0.75 + 0.3 * min(body.build.fat, 2.0)
    half = (52 * size + margin, 38 * size + margin, 52 * size + margin)
    return [local.ball((72 + 4 * size, -104, 146), half, side=side, angles=(-18, 0, 0), blend=30.0) for side in (1, -1)]


def _glands(body: BodyCoordinates) -> list[Organ]:
    if body.build.sex != "female":
        return []
    local = body.vary("breast", (0, -110, 150), 6, 0.15)
    dense = float(np.clip(body.rng("gland").normal(1.0 - 0.008 * (body.build.age - 30), 0.2), 0.3, 1.1))
    shapes = [
        local.ball((78, -118, 146), (32 * dense, 15 * dense, 32 * dense), side=side, angles=(-18, 0, 0))
        for side in (1, -1)
    ]
    return [Organ(LABELS["body"], shapes, Material(15, 3, 18, 30), rough=4.0)]


def _arms(body: BodyCoordinates, margin: float) -> list[Shape]:
    """Return the shapes of the arms, larger by ``margin`` mm on every side."""
    wide = 1.0 + 0.16 * body.build.visceral
    out = (10 * body.build.fat) / body.scale
    nodes: list[tuple[float, float, float, float]]
    if body.build.arms == "raised":
        nodes = [(165, -4, 306, 46), (172, -12, 345, 45), (165, -22, 420, 44), (160, -25, 520, 40)]
    else:
        nodes = [
            (162, 0, 300, 46),
            (192 * wide + out, 10, 225, 44),
            (205 * wide + out, 24, 100, 43),
            (208 * wide + out, 25, 30, 42),
            (200 * wide + out, 5, -40, 40),
            (190 * wide + out, -20, -150, 33),
            (182 * wide + out, -32, -230, 30),
            (178 * wide + out, -38, -330, 36),
        ]
    fat = 5.0 * (body.build.fat - 1)
    return [body.tube([(x, y, z, r + fat + margin) for x, y, z, r in nodes], side=side, blend=8.0) for side in (1, -1)]
