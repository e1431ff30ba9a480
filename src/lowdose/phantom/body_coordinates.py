"""Build of a patient, drawn from a seed, and the mapping from the reference body to the body of that patient."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Ball, Loft, Tube, tube

Level = tuple[float, Sequence[tuple[float, float]]]

MAX_SIZE_SD = 0.3
"""Largest relative SD of the size of an organ: with more, an organ two SDs below the mean could vanish."""


@dataclass(frozen=True)
class Build:
    """Traits of one patient.

    Attributes
    ----------
    sex : "female" or "male"
        Sex.
    age : years
        Age.
    size : (x, y, z), relative
        Size relative to the reference body.
    fat : relative
        Amount of subcutaneous fat.
    visceral : 0 (lean) to about 1 (obese)
        Amount of visceral fat.
    muscle : relative
        Muscle mass.
    marrow : HU
        HU of spongy bone.
    arms : "raised" or "down"
        Position of the arms.
    roll : radians
        Rotation about the long axis.
    centre : (x, y), mm
        Position of the body in the image.
    """

    sex: str
    age: float
    size: tuple[float, float, float]
    fat: float
    visceral: float
    muscle: float
    marrow: float
    arms: str
    roll: float
    centre: tuple[float, float]

    @staticmethod
    def draw(seed: int) -> Build:
        """Draw the build of the patient with this seed."""
        rng = np.random.default_rng((seed, 1))
        sex = str(rng.choice(["female", "male"]))
        age = float(rng.uniform(25, 88))
        male = sex == "male"
        tall = rng.normal(1.02 if male else 0.955, 0.03)
        broad = rng.normal(1.04 if male else 0.96, 0.035)
        fat = float(np.clip(rng.lognormal(np.log(0.8 if male else 1.15), 0.45), 0.25, 3.0))
        visceral = float(np.clip(rng.beta(2.2, 2.6) + (0.12 if male else -0.12) + 0.15 * (fat - 1), 0.0, 1.1))
        return Build(
            sex=sex,
            age=age,
            size=(float(broad), float(broad * rng.normal(1.0, 0.03)), float(tall)),
            fat=fat,
            visceral=visceral,
            muscle=float(np.clip(rng.normal(1.0, 0.1) - 0.003 * (age - 50), 0.7, 1.2)),
            marrow=float(np.clip(rng.normal(265 - 1.7 * age, 30), 75, 300)),
            arms=str(rng.choice(["raised", "down"], p=[0.75, 0.25])),
            roll=float(np.radians(rng.normal(0, 1.5))),
            centre=(float(rng.normal(0, 6)), float(rng.normal(0, 8))),
        )


@dataclass(frozen=True)
class BodyCoordinates:
    """Mapping from the reference body to one patient, which places shapes in the patient.

    Coordinates of the reference body are in mm: x to the left, y to the back, z above the top of L1.

    Attributes
    ----------
    seed : int
        Seed of the patient.
    build : Build
        Traits of the patient.
    shift : (x, y, z), mm
        Displacement of the current organ, see ``vary``.
    grow : (x, y, z), relative
        Change of its size.
    about : (x, y, z), mm
        Point around which its size changes.
    variety : relative
        Factor on how much organs differ between patients.
    """

    seed: int
    build: Build
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grow: tuple[float, float, float] = (1.0, 1.0, 1.0)
    about: tuple[float, float, float] = (0.0, 0.0, 0.0)
    variety: float = 1.0

    def rng(self, key: str) -> np.random.Generator:
        """Return an independent random generator for each key, so that adding an organ changes no other."""
        return np.random.default_rng((self.seed, zlib.crc32(key.encode())))

    def vary(
        self, key: str, about: tuple[float, float, float], shift: float = 3.0, grow: float = 0.06
    ) -> BodyCoordinates:
        """Return coordinates that displace and scale an organ at random.

        ``about`` is the point around which it is scaled, ``shift`` the SD of the displacement in mm, ``grow`` the
        relative SD of the size. The amounts depend on the seed and on ``key``.
        """
        rng = self.rng(key)
        shift, grow = self.variety * shift, min(self.variety * grow, MAX_SIZE_SD)
        displacement = np.clip(rng.normal(0, shift, 3), -2 * shift, 2 * shift)
        scaling = np.clip(rng.normal(1, grow / 2, 3) * rng.normal(1, grow), 1 - 2.2 * grow, 1 + 2.2 * grow)
        return replace(self, about=about, shift=tuple(displacement.tolist()), grow=tuple(scaling.tolist()))

    @property
    def scale(self) -> float:
        """Mean size in the axial plane, by which radii are scaled."""
        return float(np.sqrt(self.build.size[0] * self.build.size[1]))

    def place(self, points: Points) -> Points:
        """Map points (..., 3) in mm from the reference body to the patient."""
        about = np.asarray(self.about)
        p = about + (np.asarray(points, float) - about) * self.grow + self.shift
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        belly = self.build.visceral * np.exp(-(((z + 35) / 95) ** 2))
        x = x * (1 + 0.20 * belly - 0.03)
        front = np.minimum(y - 28, 0.0)
        y = y + front * (0.55 * belly - 0.14)
        return np.stack([x, y, z], axis=-1) * self.build.size

    def loft(
        self, levels: Sequence[Level], *, side: int = 1, half: bool = False, cap: tuple[float, float] = (1.0, 1.0),
        blend: float = 0.0, reach: float = 12.0,
    ) -> Loft:  # fmt: skip
        """Place a loft through contours of the left side (side 1) or their mirror image (-1).

        With ``half`` each contour is one half, completed by its own mirror image.
        """
        rings = []
        for z, ring in levels:
            points = np.array([(x * side, y, z) for x, y in ring], float)
            if half:
                back = points[1:-1][::-1] * (-1.0, 1.0, 1.0)
                points = np.concatenate([points, back])
            rings.append(self.place(points))
        placed = np.stack(rings)
        size = self.build.size[2]
        return Loft(placed[:, 0, 2], placed[..., :2], (cap[0] * size, cap[1] * size), blend, reach)

    def tube(
        self, nodes: Sequence[Sequence[float]], *, side: int = 1, blend: float = 0.0, flat: float = 1.0, step: int = 4,
    ) -> Tube:  # fmt: skip
        """Place a tube through nodes (x, y, z, radius) in mm of the left side (side 1) or their mirror image (-1)."""
        path = np.asarray(nodes, float) * (side, 1.0, 1.0, 1.0)
        radius = path[:, 3:] * self.scale * float(np.mean(self.grow))
        return tube(np.concatenate([self.place(path[:, :3]), radius], axis=1), blend=blend, flat=flat, step=step)

    def ball(
        self, centre: tuple[float, float, float], half: tuple[float, float, float], *,
        angles: tuple[float, float, float] = (0.0, 0.0, 0.0), side: int = 1, blend: float = 0.0,
    ) -> Ball:  # fmt: skip
        """Place an ellipsoid of the left side (side 1) or its mirror image (-1); sizes in mm, angles in degrees."""
        x, y, z = self.place(np.array([centre[0] * side, centre[1], centre[2]])).tolist()
        a, b, c = (h * s * g for h, s, g in zip(half, self.build.size, self.grow, strict=True))
        return Ball((x, y, z), (a, b, c), (angles[0] * side, angles[1], angles[2] * side), blend)
