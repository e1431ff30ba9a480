"""Statistics of organs, accumulated slice by slice over a series: Dice, HD95, volume, HU, and a sample slice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_distances import OrganDistances
from lowdose.evaluation.segmenters import Labels, SliceVersions
from lowdose.image import HU
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.label_overlap import Overlap, count_labels

SMALLEST_ML = 0.05
"""Smallest volume in ml of an organ in the reference for which Dice is computed: tiny specks never overlap.

Dice depends on the reference alone: if it were computed wherever some image shows the organ, the images would be
compared on different organs. Organs that an image invents are counted in its volume.
"""

CLASSES = 256
Counts = NDArray[np.float64]
"""One number for each label; shape (CLASSES,)."""


@dataclass(frozen=True)
class OrganRow:
    """Statistics of one organ in one image of one case, over all its slices; NaN if there is nothing to measure.

    Attributes
    ----------
    case : str
        Name of the case.
    patient : int
        Number of the patient.
    image : str
        ``"low dose"``, the name of a model, or ``"full dose"``.
    organ : str
        Name of the organ.
    dice : float
        Dice coefficient with the reference.
    hd95_mm : float, mm
        95th percentile of the Hausdorff distance from the reference; NaN without MONAI, where Dice is NaN, and where
        the image or the reference lacks the organ (Dice is 0 there).
    volume_ml : float, ml
        Volume of the organ as segmented in this image.
    reference_ml : float, ml
        Volume of the organ in the reference.
    mean_hu, sd_hu : float, HU
        Mean and SD of this image inside the organ of the reference.
    """

    case: str
    patient: int
    image: str
    organ: str
    dice: float
    hd95_mm: float
    volume_ml: float
    reference_ml: float
    mean_hu: float
    sd_hu: float


@dataclass(frozen=True)
class OrganSample:
    """The slice of a case that shows most organs, with the segmentation of each of its images.

    Attributes
    ----------
    case : str
        Name of the case.
    position : float or None, mm
        Position of the slice.
    aspect : float
        Height of a pixel over its width.
    images : mapping of str to array, HU
        Each version of the slice (y, x), by image name.
    labels : mapping of str to array
        Segmentation (y, x) of each version.
    reference : array or None
        Reference labels (y, x) if the user gave any.
    """

    case: str
    position: float | None
    aspect: float
    images: Mapping[str, HU]
    labels: Mapping[str, Labels]
    reference: Labels | None


class OrganStatistics:
    """Accumulator of the organ statistics of one case; it also keeps the slice that shows most organs.

    Parameters
    ----------
    names : mapping of int to str
        Name of each organ, by number.
    case : PairedSeries
        Series that the slices are of.
    with_distances : bool
        Whether HD95 is measured, which needs MONAI and keeps the labels of all slices (see ``OrganDistances``).

    Attributes
    ----------
    samples : list of OrganSample
        The slice with most organs; empty before the first slice.
    """

    def __init__(self, names: Mapping[int, str], case: PairedSeries, with_distances: bool) -> None:
        self._names, self._case, self._depth = names, case, _depth_mm(case)
        self._distances = OrganDistances(case, self._depth) if with_distances else None
        self._overlap: dict[str, Overlap] = defaultdict(lambda: Overlap(CLASSES))
        self._volume_ml: dict[str, Counts] = defaultdict(lambda: np.zeros(CLASSES))
        self._reference_ml = np.zeros(CLASSES)
        self._inside: dict[str, Counts] = defaultdict(lambda: np.zeros((3, CLASSES)))
        self._most_organs = (-1, -1)  # number of organs in the sample slice, and of their pixels
        self._has_given_labels = False
        self.samples: list[OrganSample] = []

    def add(self, item: SliceVersions, labels: Mapping[str, Labels], given: Labels | None) -> None:
        """Add one slice with its segmentations; the reference is ``given``, or else the full-dose segmentation."""
        reference = labels[FULL] if given is None else given
        self._has_given_labels = given is not None
        area = np.prod(item.pixel_mm) if item.pixel_mm else np.nan
        ml = float(area) * self._depth / 1000
        self._reference_ml += count_labels(reference, CLASSES) * ml
        inside = np.where(item.valid, reference, 0).ravel()
        for name, hu in item.hu.items():
            self._overlap[name].add(labels[name], reference)
            self._volume_ml[name] += count_labels(labels[name], CLASSES) * ml
            values = hu.ravel().astype(np.float64)
            powers = (np.bincount(inside, values**power, minlength=CLASSES) for power in (0, 1, 2))
            self._inside[name] += np.array(list(powers))
        if self._distances is not None:
            compared = {name: drawn for name, drawn in labels.items() if name != FULL or given is not None}
            self._distances.add(compared, reference, item.pixel_mm)
        self._update_sample(item, labels, reference)

    def _update_sample(self, item: SliceVersions, labels: Mapping[str, Labels], reference: Labels) -> None:
        """Keep this slice as the sample if it shows more organs than the slices before."""
        sizes = count_labels(reference, CLASSES)[list(self._names)]
        organs = (int(np.count_nonzero(sizes)), int(sizes.sum()))
        if organs > self._most_organs:
            aspect = item.pixel_mm[0] / item.pixel_mm[1] if item.pixel_mm else 1.0
            given = reference if self._has_given_labels else None
            self.samples = [OrganSample(self._case.name, item.position, aspect, item.hu, labels, given)]
            self._most_organs = organs

    def rows(self) -> list[OrganRow]:
        """Return the statistics of every organ that occurs in the reference or in any image."""
        rows = []
        for image, overlap in self._overlap.items():
            n, total, squares = self._inside[image]
            mean = np.divide(total, n, out=np.full(CLASSES, np.nan), where=n > 0)
            variance = np.divide(squares, n, out=np.full(CLASSES, np.nan), where=n > 0) - mean**2
            sd = np.sqrt(np.maximum(variance, 0.0))
            sizes = self._volume_ml[image], self._reference_ml
            dice = overlap.dice()
            dice[(self._reference_ml < SMALLEST_ML) | (overlap.reference == 0)] = np.nan
            if image == FULL and not self._has_given_labels:
                dice[:] = np.nan
            measured = np.array([dice, self._hd95(image, dice), *sizes, mean, sd])
            rows += [
                OrganRow(self._case.name, self._case.patient, image, name, *measured[:, number].tolist())
                for number, name in self._names.items()
                if any(other.found[number] or other.reference[number] for other in self._overlap.values())
            ]
        return rows

    def _hd95(self, image: str, dice: Counts) -> Counts:
        """Return the distance of each organ that has a Dice value."""
        result = np.full(CLASSES, np.nan)
        if self._distances is not None:
            measured = self._distances.hd95(image, [number for number in self._names if not np.isnan(dice[number])])
            result[list(measured)] = list(measured.values())
        return result


def _depth_mm(case: PairedSeries) -> float:
    """Return the depth that a slice represents, mm: slice distance, else thickness; NaN if neither is known."""
    geometry, thickness = case.full.geometry, case.full.acquisition.thickness_mm
    if geometry is None:
        return np.nan if thickness is None else thickness
    return geometry.spacing[0] * abs(
        float(np.linalg.det(geometry.direction))
    )  # slices of a tilted stack are not perpendicular to its axis
