"""The lesions a digital patient has: metastases of the liver, nodules of the lung, cysts of the kidneys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.anatomical_labels import LABELS
from lowdose.phantom.anatomy.kidneys import kidney_edge
from lowdose.phantom.anatomy.lungs import lung_shape
from lowdose.phantom.anatomy.viscera import liver_shape
from lowdose.phantom.drawing.plane import Points
from lowdose.phantom.drawing.shapes import Loft
from lowdose.phantom.lesions import Lesion, put
from lowdose.phantom.scene import Scene
from lowdose.volume import Volume


@dataclass(frozen=True)
class PlannedLesion:
    """A lesion to be put in: place (x, y, z) mm in the patient, diameter mm, contrast HU (None: usual for the kind)."""

    kind: str
    place: tuple[float, float, float]
    diameter: float
    contrast: float | None
    seed: int


_ALLOWED = {
    "metastasis": {LABELS["liver"]},
    "nodule": {label for name, label in LABELS.items() if name.startswith("lung_")},
    "cyst": {LABELS["kidney_left"], LABELS["kidney_right"], LABELS["torso_fat"]},
}


def plan_lesions(scene: Scene) -> list[PlannedLesion]:
    """What this patient has, wherever the slices are."""
    frame = scene.frame
    rng = frame.rng("findings")
    made: list[PlannedLesion] = []
    if rng.random() < 0.75:
        made += _within("metastasis", liver_shape(frame), int(rng.integers(1, 6)), (6.0, 30.0), scene, rng)
    for side in (1, -1):
        made += _within("nodule", lung_shape(frame, side), int(rng.poisson(1.2)), (4.0, 20.0), scene, rng)
    for side in (1, -1):
        if rng.random() < min(0.15 + 0.008 * (frame.build.age - 25), 0.6):
            made += _on_kidney(scene, side, rng)
    return made


def _within(
    kind: str, shape: Loft, count: int, sizes: tuple[float, float], scene: Scene, rng: np.random.Generator
) -> list[PlannedLesion]:
    made: list[PlannedLesion] = []
    low, high = shape.contours.min(axis=(0, 1)), shape.contours.max(axis=(0, 1))
    for _ in range(count):
        diameter = float(np.exp(rng.uniform(*np.log(sizes))))
        spots = rng.uniform([*low, shape.levels[0]], [*high, shape.levels[-1]], (60, 3))
        contrast = float(rng.uniform(-60, -20)) if kind == "metastasis" else None
        part_solid, seed = rng.random() < 0.25, int(rng.integers(1 << 30))
        name = kind if kind == "metastasis" else "part_solid_nodule" if part_solid else "solid_nodule"
        for spot in spots[shape.holds(spots)][:12]:
            if _apart(spot, diameter, made) and _clear(scene, kind, spot, 0.6 * diameter + 2.0):
                made.append(PlannedLesion(name, (spot[0], spot[1], spot[2]), diameter, contrast, seed))
                break
    return made


def _on_kidney(scene: Scene, side: int, rng: np.random.Generator) -> list[PlannedLesion]:
    size, seed = float(rng.uniform(8, 32)), int(rng.integers(1 << 30))
    for _ in range(12):
        x, y, z = kidney_edge(scene.frame, side, rng).tolist()
        if _clear(scene, "cyst", np.array([x, y, z]), 0.55 * size):
            return [PlannedLesion("cyst", (x, y, z), size, None, seed)]
    return []


def _apart(spot: Points, diameter: float, others: list[PlannedLesion]) -> bool:
    return all(np.linalg.norm(spot - other.place) > 0.7 * (diameter + other.diameter) + 2.0 for other in others)


def _clear(scene: Scene, kind: str, spot: Points, radius: float) -> bool:
    """Whether a lesion there would lie in its organ alone (round, so the corners of the probe do not count)."""
    labels = scene.probe(spot, radius)
    steps = np.linspace(-1, 1, 9)
    inside = np.array([-1, 0, 1])[:, None, None] ** 2 + steps[:, None] ** 2 + steps**2 <= 1.01
    return bool(np.isin(labels[inside], list(_ALLOWED[kind])).all())


def insert_planned_lesions(
    scene: Scene, volume: Volume, labels: NDArray[np.uint8]
) -> tuple[Volume, tuple[Lesion, ...]]:
    """The volume with the patient's lesions in it; cysts get their own label in ``anatomical_labels``."""
    lesions = []
    for finding in plan_lesions(scene):
        x, y, z = scene.warp.to_image(np.array(finding.place)) - volume.geometry.origin
        dz, dy, dx = volume.geometry.spacing
        done = put(volume, finding.kind, (z / dz, y / dy, x / dx), finding.diameter, finding.contrast, finding.seed)
        if done is not None:
            volume, lesion = done
            lesions.append(lesion)
            if finding.kind == "cyst":
                labels[lesion.mask] = LABELS["kidney_cyst_left" if finding.place[0] > 0 else "kidney_cyst_right"]
    return volume, tuple(lesions)
