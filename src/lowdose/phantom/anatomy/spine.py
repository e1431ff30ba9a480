"""Vertebrae with discs, arches and processes, spinal canal and spinal cord."""

from __future__ import annotations

import itertools

import numpy as np

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.body_coordinates import BodyCoordinates
from lowdose.phantom.drawing.compositing import Material, Organ
from lowdose.phantom.drawing.shapes import Loft, Shape

TOPS = {  # height in mm of the upper endplate above that of L1
    "C1": 432, "C2": 405, "C3": 373, "C4": 357, "C5": 341, "C6": 325, "C7": 309,
    "T1": 291, "T2": 272, "T3": 252, "T4": 231, "T5": 209, "T6": 186, "T7": 162, "T8": 138, "T9": 113, "T10": 87,
    "T11": 60, "T12": 31, "L1": 0, "L2": -33, "L3": -66, "L4": -99, "L5": -132, "S1": -166,
}  # fmt: skip

# Heights in mm at which the curve of the spine and the size of the vertebral bodies are given.
_SPINE_Z = (440, 341, 309, 272, 231, 186, 138, 87, 31, 0, -50, -99, -132, -166)

# y in mm of the middle of the vertebral bodies.
_SPINE_Y = (10, 4, 6, 18, 32, 44, 50, 49, 44, 40, 36, 34, 36, 42)

# Half the width and half the depth of the vertebral bodies in mm.
WIDE = (9, 12, 14, 14, 13, 13.5, 15, 17.5, 20.5, 21.5, 22.5, 24, 25, 25)

_DEPTH = (8, 8.5, 9, 9.5, 11, 13, 14.5, 15.5, 16, 16.5, 17, 17.5, 17.5, 17)


def spine_y(z: float) -> float:
    """Return the y of the middle of the vertebral bodies at height z, in mm of the reference body."""
    return float(np.interp(z, _SPINE_Z[::-1], _SPINE_Y[::-1]))


def at_height(z: float, values: tuple[float, ...]) -> float:
    """Interpolate values given along the spine, such as ``WIDE``, at height z."""
    return float(np.interp(z, _SPINE_Z[::-1], values[::-1]))


def bone(body: BodyCoordinates, cortex_mm: float, cortex_hu: float = 650, marrow: float | None = None) -> Material:
    """Return a bone of cortex around spongy bone, whose HU decrease with age unless ``marrow`` gives them."""
    inside = body.build.marrow if marrow is None else marrow
    return Material(inside, 22, 20, 10, wall_mm=cortex_mm, wall_hu=cortex_hu)


def spine(body: BodyCoordinates) -> list[Organ]:
    """Return the discs, the vertebrae, the spinal canal and the spinal cord."""
    names = list(TOPS)
    organs = [Organ(LABELS["body"], [_column(body)], Material(88, 2, 4))]
    organs += [_vertebra(body, name, TOPS[name], TOPS[below]) for name, below in itertools.pairwise(names)]
    path = [(z, spine_y(z) + _DEPTH[k] + (8.5 if z < 0 else 8.0)) for k, z in enumerate(_SPINE_Z)]
    canal = body.tube([(0, y, z, 7.6 if z < 300 else 8.6) for z, y in path])
    cord = body.tube([(0, y + 0.5, z, 4.6 if z < 300 else 5.6) for z, y in path if z > -40])
    organs.append(Organ(LABELS["spinal_cord"], [canal], Material(14, 2, 4, wall_mm=1.0, wall_hu=-25)))
    return [*organs, Organ(LABELS["spinal_cord"], [cord], Material(38, 2, 2))]


def _body_contour(z: float, y: float, grow: float) -> list[tuple[float, float]]:
    """Return the contour of a vertebral body or disc at height z, scaled by ``grow``."""
    wide, deep = at_height(z, WIDE) * grow, at_height(z, _DEPTH) * grow
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    # Kidney-shaped: flat or concave towards the canal.
    back = [0.80 if np.cos(a) > 0.9 else 1.0 for a in angles]
    return [(wide * float(np.sin(a)), y + deep * float(np.cos(a)) * b) for a, b in zip(angles, back, strict=True)]


def _column(body: BodyCoordinates) -> Loft:
    """Return the column of discs and vertebral bodies, over which the vertebrae are painted."""
    return body.loft([(z, _body_contour(z, spine_y(z), 0.97)) for z in (430, *_SPINE_Z[1:])])


def _vertebra(body: BodyCoordinates, name: str, top: float, below: float) -> Organ:
    gap = (top - below) * (0.24 if name[0] == "L" else 0.17)
    bottom, middle = below + gap, 0.5 * (top + below + gap)
    y = spine_y(middle)
    ends = ((top - 0.5, 1.02), (top - 3, 0.98), (middle, 0.88), (bottom + 3, 0.98), (bottom + 0.5, 1.02))
    vertebral_body = body.loft([(z, _body_contour(z, y, grow)) for z, grow in ends], cap=(0.05, 0.05))
    return Organ(
        LABELS[f"vertebrae_{name}"], [vertebral_body, *_arch(body, name[0], y, top, bottom)], bone(body, 1.3, 480)
    )


def _arch(body: BodyCoordinates, part: str, y: float, top: float, bottom: float) -> list[Shape]:
    """Return pedicles, laminae, facets, transverse processes and spinous process of a vertebra."""
    middle = 0.5 * (top + bottom)
    wide, deep = at_height(middle, WIDE), at_height(middle, _DEPTH)
    tall, back = top - bottom, y + deep
    if part == "C":
        wing, spinous, droop = (21, back + 2, middle), (back + 32, bottom - 2), 2.0
    elif part == "T":
        wing, spinous, droop = (31, back + 23, top - 4), (back + 40, bottom - 14), 8.0
    else:
        wing, spinous, droop = (43, back + 12, middle + 2), (back + 46, bottom + 1), 1.0
    shapes: list[Shape] = []
    for lift in np.linspace(0.15, 0.85, 3):
        # The spinous process, half as high as the vertebral body.
        z = middle - lift * 0.5 * tall
        shapes.append(
            body.tube(
                [(0, back + 19, z + 2, 3.3), (0, spinous[0], z + spinous[1] - bottom - droop, 3.8)], blend=2, step=1
            )
        )
    side_x = 0.62 * wide + 1.5
    for side in (1, -1):
        for down in (0.16, 0.30, 0.44):
            z = top - down * tall
            shapes.append(
                body.tube(
                    [(side_x, back - 4, z, 4.2), (side_x + 0.5, back + 9, z - 1, 4.6)], side=side, blend=2, step=1
                )
            )
        for down in (0.38, 0.62, 0.86):
            z = top - down * tall
            shapes.append(
                body.tube(
                    [(side_x + 0.5, back + 9, z + 3, 4.0), (7, back + 17, z - 1, 3.2), (0, back + 19.5, z - 2, 3.2)],
                    side=side,
                    blend=2,
                    step=2,
                )
            )
        # Articular processes: the upper ones lie in front of those of the vertebra above, the lower ones behind those
        # of the vertebra below.
        shapes += [
            body.tube(
                [(side_x + 2, back + 9, top - 5, 4.6), (side_x + 2, back + 9, top + 5, 4.4)], side=side, blend=2, step=1
            ),
            body.tube(
                [(side_x - 1, back + 14, middle, 4.6), (side_x - 1, back + 16, bottom - 7, 4.6)],
                side=side,
                blend=2,
                step=1,
            ),
            body.tube([(side_x + 1, back + 9, top - 0.4 * tall, 4.0), (*wing, 3.4)], side=side, blend=2, step=1),
            body.tube(
                [(side_x + 1, back + 9, top - 0.55 * tall, 4.0), (wing[0], wing[1], wing[2] - 5, 3.2)],
                side=side,
                blend=2,
                step=1,
            ),
        ]
    return shapes
