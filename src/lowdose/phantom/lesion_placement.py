"""Lesions of a digital patient: liver metastases, lung nodules and kidney cysts, planned and inserted."""

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
    """A lesion to be inserted.

    Attributes
    ----------
    kind : str
        One of ``lowdose.phantom.lesions.KINDS``.
    place : (x, y, z), mm
        Centre in the coordinates of the patient.
    diameter : mm
        Diameter of a ball of the same volume.
    contrast : HU or None
        Contrast against the tissue around it; None for what is usual for the kind.
    seed : int
        Seed of the shape.
    """

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
    """Plan all lesions of the patient, independent of which slices are rendered."""
    coordinates = scene.coordinates
    rng = coordinates.rng("findings")
    planned: list[PlannedLesion] = []
    if rng.random() < 0.75:
        planned += _plan_within(
            "metastasis", liver_shape(coordinates), int(rng.integers(1, 6)), (6.0, 30.0), scene, rng
        )
    for side in (1, -1):
        planned += _plan_within("nodule", lung_shape(coordinates, side), int(rng.poisson(1.2)), (4.0, 20.0), scene, rng)
    for side in (1, -1):
        if rng.random() < min(0.15 + 0.008 * (coordinates.build.age - 25), 0.6):
            planned += _plan_on_kidney(scene, side, rng)
    return planned


def _plan_within(
    kind: str, shape: Loft, count: int, sizes: tuple[float, float], scene: Scene, rng: np.random.Generator
) -> list[PlannedLesion]:
    """Plan up to ``count`` lesions at random places inside a shape, with diameters from the range ``sizes`` in mm."""
    planned: list[PlannedLesion] = []
    low, high = shape.contours.min(axis=(0, 1)), shape.contours.max(axis=(0, 1))
    for _ in range(count):
        diameter = float(np.exp(rng.uniform(*np.log(sizes))))
        spots = rng.uniform([*low, shape.levels[0]], [*high, shape.levels[-1]], (60, 3))
        contrast = float(rng.uniform(-60, -20)) if kind == "metastasis" else None
        part_solid, seed = rng.random() < 0.25, int(rng.integers(1 << 30))
        name = kind if kind == "metastasis" else "part_solid_nodule" if part_solid else "solid_nodule"
        for spot in spots[shape.holds(spots)][:12]:
            if _keeps_distance(spot, diameter, planned) and _fits_in_organ(scene, kind, spot, 0.6 * diameter + 2.0):
                planned.append(PlannedLesion(name, (spot[0], spot[1], spot[2]), diameter, contrast, seed))
                break
    return planned


def _plan_on_kidney(scene: Scene, side: int, rng: np.random.Generator) -> list[PlannedLesion]:
    """Plan a cyst on the outer edge of the left (side 1) or right (-1) kidney; empty where none fits."""
    size, seed = float(rng.uniform(8, 32)), int(rng.integers(1 << 30))
    for _ in range(12):
        x, y, z = kidney_edge(scene.coordinates, side, rng).tolist()
        if _fits_in_organ(scene, "cyst", np.array([x, y, z]), 0.55 * size):
            return [PlannedLesion("cyst", (x, y, z), size, None, seed)]
    return []


def _keeps_distance(spot: Points, diameter: float, others: list[PlannedLesion]) -> bool:
    """Return whether a lesion at ``spot`` keeps its distance from all others."""
    return all(np.linalg.norm(spot - other.place) > 0.7 * (diameter + other.diameter) + 2.0 for other in others)


def _fits_in_organ(scene: Scene, kind: str, spot: Points, radius: float) -> bool:
    """Return whether a lesion at ``spot`` would lie within its organ alone.

    Only the ball of ``radius`` mm counts, not the corners of the probed cube.
    """
    labels = scene.probe(spot, radius)
    steps = np.linspace(-1, 1, 9)
    inside = np.array([-1, 0, 1])[:, None, None] ** 2 + steps[:, None] ** 2 + steps**2 <= 1.01
    return bool(np.isin(labels[inside], list(_ALLOWED[kind])).all())


def insert_planned_lesions(
    scene: Scene, volume: Volume, labels: NDArray[np.uint8]
) -> tuple[Volume, tuple[Lesion, ...]]:
    """Insert the planned lesions of a patient into its volume.

    Returns the new volume and the lesions that reach into it. In ``labels``, which is changed in place, cysts get their
    own label.
    """
    lesions = []
    for plan in plan_lesions(scene):
        x, y, z = scene.warp.to_image(np.array(plan.place)) - volume.geometry.origin
        dz, dy, dx = volume.geometry.spacing
        result = put(volume, plan.kind, (z / dz, y / dy, x / dx), plan.diameter, plan.contrast, plan.seed)
        if result is not None:
            volume, lesion = result
            lesions.append(lesion)
            if plan.kind == "cyst":
                labels[lesion.mask] = LABELS["kidney_cyst_left" if plan.place[0] > 0 else "kidney_cyst_right"]
    return volume, tuple(lesions)
