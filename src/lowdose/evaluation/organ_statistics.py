"""Counting organs while the slices of a series pass: overlap, volume, mean HU and SD, and the slice to show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.evaluation.images import FULL
from lowdose.evaluation.segmenters import Labels, SliceVersions
from lowdose.image import HU
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.label_overlap import Overlap, count_labels

SMALLEST_ML = 0.05
"""An organ smaller than this in the reference is not judged: specks agree with nothing. Were one judged wherever any
image shows it, images would be judged on different organs; what an image invents stands in its volume."""

CLASSES = 256
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class OrganRow:
    """One organ of one image of one case, over all its slices; NaN where there is nothing to measure.

    dice: with the reference. volume_ml, reference_ml: of the organ as drawn here, and in the reference. mean_hu, sd_hu:
    of this image inside the reference's organ.
    """

    case: str
    patient: int
    image: str
    organ: str
    dice: float
    volume_ml: float
    reference_ml: float
    mean_hu: float
    sd_hu: float


@dataclass(frozen=True)
class OrganSample:
    """The slice of a case with most organs, in every version: label -> (y, x) HU, and the organs drawn there.

    reference: the labels given, if any. aspect: pixel height over width.
    """

    case: str
    position: float | None
    aspect: float
    images: Mapping[str, HU]
    labels: Mapping[str, Labels]
    reference: Labels | None


class OrganStatistics:
    """What is counted of a case while its slices pass; the slice with most organs is kept."""

    def __init__(self, names: Mapping[int, str], case: PairedSeries) -> None:
        self._names, self._case, self._depth = names, case, _depth_mm(case)
        self._overlap: dict[str, Overlap] = defaultdict(lambda: Overlap(CLASSES))
        self._found_ml: dict[str, Counts] = defaultdict(lambda: np.zeros(CLASSES))
        self._reference_ml = np.zeros(CLASSES)
        self._inside: dict[str, Counts] = defaultdict(lambda: np.zeros((3, CLASSES)))
        self._most = (-1, -1)
        self._given = False
        self.samples: list[OrganSample] = []

    def add(self, item: SliceVersions, labels: Mapping[str, Labels], given: Labels | None) -> None:
        """One slice; the reference is ``given``, or what was drawn at full dose."""
        reference = labels[FULL] if given is None else given
        self._given = given is not None
        area = np.prod(item.pixel_mm) if item.pixel_mm else np.nan
        ml = float(area) * self._depth / 1000
        self._reference_ml += count_labels(reference, CLASSES) * ml
        inside = np.where(item.valid, reference, 0).ravel()
        for name, hu in item.hu.items():
            self._overlap[name].add(labels[name], reference)
            self._found_ml[name] += count_labels(labels[name], CLASSES) * ml
            values = hu.ravel().astype(np.float64)
            powers = (np.bincount(inside, values**power, minlength=CLASSES) for power in (0, 1, 2))
            self._inside[name] += np.array(list(powers))
        self._show(item, labels, reference)

    def _show(self, item: SliceVersions, labels: Mapping[str, Labels], reference: Labels) -> None:
        sizes = count_labels(reference, CLASSES)[list(self._names)]
        most = (int(np.count_nonzero(sizes)), int(sizes.sum()))
        if most > self._most:
            aspect = item.pixel_mm[0] / item.pixel_mm[1] if item.pixel_mm else 1.0
            given = reference if self._given else None
            self.samples = [OrganSample(self._case.name, item.position, aspect, item.hu, labels, given)]
            self._most = most

    def rows(self) -> list[OrganRow]:
        """Of every organ that is in the reference or in any version."""
        rows = []
        for image, overlap in self._overlap.items():
            n, total, squares = self._inside[image]
            mean = np.divide(total, n, out=np.full(CLASSES, np.nan), where=n > 0)
            variance = np.divide(squares, n, out=np.full(CLASSES, np.nan), where=n > 0) - mean**2
            sd = np.sqrt(np.maximum(variance, 0.0))
            sizes = self._found_ml[image], self._reference_ml
            judged = overlap.dice()
            judged[(self._reference_ml < SMALLEST_ML) | (overlap.reference == 0)] = np.nan
            if image == FULL and not self._given:
                judged[:] = np.nan
            measured = np.array([judged, *sizes, mean, sd])
            rows += [
                OrganRow(self._case.name, self._case.patient, image, name, *measured[:, number].tolist())
                for number, name in self._names.items()
                if any(other.found[number] or other.reference[number] for other in self._overlap.values())
            ]
        return rows


def _depth_mm(case: PairedSeries) -> float:
    """What a slice stands for: the distance of the slices, else their thickness; NaN where neither is stated."""
    geometry, thickness = case.full.geometry, case.full.acquisition.thickness_mm
    if geometry is None:
        return np.nan if thickness is None else thickness
    return geometry.spacing[0] * abs(float(np.linalg.det(geometry.direction)))  # a tilted stack is not square
