"""People of two organs, made in no time, in the place of digital patients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lowdose.anatomical_labels import LABELS
from lowdose.data.labelled import phantoms
from lowdose.image import Geometry
from lowdose.phantom.body_coordinates import Build
from lowdose.phantom.patient import Patient
from lowdose.training import anatomy_run as training
from lowdose.volume import Volume

SIZE = 160


def person(number: int, slices: int = phantoms.SLICES) -> Patient:
    """A body of fat with a liver whose place the number says."""
    rng = np.random.default_rng(number)
    hu, labels = np.full((slices, SIZE, SIZE), -1000, np.float32), np.zeros((slices, SIZE, SIZE), np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    for k in range(slices):
        centre = rng.uniform(-20, 20, 2)
        for name, value, inside in (
            ("torso_fat", -100, np.hypot(y, x) < 70),
            ("liver", 100, np.hypot(y - centre[0], x - centre[1]) < 30),
        ):
            hu[k][inside], labels[k][inside] = value, LABELS[name]
    geometry = Geometry((50.0, 1.0, 1.0))
    return Patient(Volume(hu, geometry), labels, (), np.zeros(labels.shape, bool), Build.draw(number), "arterial")


def instead_of_digital_patients() -> Iterator[None]:
    """For a fixture: while it lasts, trainings are on these people."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(phantoms, "training_patient", person)
        patched.setattr(training, "validation_patient", lambda number: person(1000 + number, 2))
        yield
