"""Slices of known anatomy: digital patients on which no setting was chosen, and one real series."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from numpy.typing import NDArray

from lowdose import organ_classes
from lowdose.io.open_series import open_source
from lowdose.phantom.patient import REGIONS, digital_patient


class Slice(NamedTuple):
    """A slice; ``classes`` holds (y, x) numbers of ``organ_classes.CLASSES``."""

    name: str
    region: str
    classes: NDArray[np.uint8]
    pixel_mm: tuple[float, float]

    def areas(self) -> dict[str, float]:
        """Return the area of each class, mm2."""
        count = np.bincount(self.classes.ravel(), minlength=len(organ_classes.CLASSES))
        return {
            name: float(n) * self.pixel_mm[0] * self.pixel_mm[1]
            for name, n in zip(organ_classes.CLASSES, count, strict=True)
        }


def phantoms(first_seed: int = 100, each: int = 6) -> list[Slice]:
    """Return ``each`` patients of every region but the trunk, cut at heights spread over it."""
    found = []
    for number, (region, (low, high)) in enumerate((name, span) for name, span in REGIONS.items() if name != "trunk"):
        for k in range(each):
            seed, height = first_seed + number * each + k, low + (high - low) * (k + 0.5) / each
            person = digital_patient(seed, region=(height, height), slices=1, size=256, pixel_mm=1.48)
            classes = organ_classes.classes_of(person.labels[0])
            found.append(Slice(f"{region} {seed}, {height:+.0f} mm", region, classes, (1.48, 1.48)))
    return found


def real(folder: Path) -> list[Slice]:
    """Return a series with 'labels.nii.gz' (32 organ labels) beside its DICOM.

    Pixels without a label count as fat or muscle by their HU.
    """
    labels = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj).transpose(2, 1, 0)[:, ::-1, :].astype(np.uint8)
    found = []
    with ExitStack() as stack:
        source = stack.enter_context(open_source(folder / "dicom"))
        for k in range(len(source)):
            hu, classes, rest = source.read(k).hu, organ_classes.classes_of(labels[k]), labels[k] == 0
            classes[rest & (hu > -300)] = organ_classes.INDEX["skeletal_muscle"]
            classes[rest & (hu > -200) & (hu < -30)] = organ_classes.INDEX["subcutaneous_fat"]
            found.append(Slice(f"real {k}", "abdomen", classes, source.planes[k].pixel_mm or (1.0, 1.0)))
    return found
