"""One patient's build: what is drawn from the seed, and where a point of the reference body lies in this one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Ball, Loft, Tube, tube

Level = tuple[float, Sequence[tuple[float, float]]]

LARGEST_GROWTH = 0.3
"""SD of an organ's size, as a share: twice that below the mean it would be gone."""


@dataclass(frozen=True)
class Build:
    """Of one patient. Sizes are relative to the reference; fat: subcutaneous, visceral: 0 lean to 1 obese."""

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
    """Places shapes of the reference body in the patient. Reference mm: x to the left, y to the back, z above L1.

    shift, grow and about: the change of position (mm) and size of the organ being made, see ``vary``. variety: by how
    much more organs differ between patients than they do in most people.
    """

    seed: int
    build: Build
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grow: tuple[float, float, float] = (1.0, 1.0, 1.0)
    about: tuple[float, float, float] = (0.0, 0.0, 0.0)
    variety: float = 1.0

    def rng(self, key: str) -> np.random.Generator:
        """Random numbers of their own for each organ: adding one changes no other."""
        return np.random.default_rng((self.seed, zlib.crc32(key.encode())))

    def vary(
        self, key: str, about: tuple[float, float, float], shift: float = 3.0, grow: float = 0.06
    ) -> BodyCoordinates:
        """A frame that moves and scales what it makes around ``about`` by random amounts of these SDs (mm, share)."""
        rng = self.rng(key)
        shift, grow = self.variety * shift, min(self.variety * grow, LARGEST_GROWTH)
        moved = np.clip(rng.normal(0, shift, 3), -2 * shift, 2 * shift)
        scaled = np.clip(rng.normal(1, grow / 2, 3) * rng.normal(1, grow), 1 - 2.2 * grow, 1 + 2.2 * grow)
        return replace(self, about=about, shift=tuple(moved.tolist()), grow=tuple(scaled.tolist()))

    @property
    def scale(self) -> float:
        """Mean size in the plane, for radii."""
        return float(np.sqrt(self.build.size[0] * self.build.size[1]))

    def place(self, points: Points) -> Points:
        """Reference (..., 3) mm -> patient (..., 3) mm."""
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
        """A loft through contours of the left side (side 1) or their mirror image (-1); half: closed by mirroring."""
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
        """A tube through nodes (x, y, z, radius) of the left side (side 1) or their mirror image (-1)."""
        path = np.asarray(nodes, float) * (side, 1.0, 1.0, 1.0)
        radius = path[:, 3:] * self.scale * float(np.mean(self.grow))
        return tube(np.concatenate([self.place(path[:, :3]), radius], axis=1), blend=blend, flat=flat, step=step)

    def ball(
        self, centre: tuple[float, float, float], half: tuple[float, float, float], *,
        angles: tuple[float, float, float] = (0.0, 0.0, 0.0), side: int = 1, blend: float = 0.0,
    ) -> Ball:  # fmt: skip
        """An ellipsoid of the left side (side 1) or its mirror image (-1)."""
        x, y, z = self.place(np.array([centre[0] * side, centre[1], centre[2]])).tolist()
        a, b, c = (h * s * g for h, s, g in zip(half, self.build.size, self.grow, strict=True))
        return Ball((x, y, z), (a, b, c), (angles[0] * side, angles[1], angles[2] * side), blend)
