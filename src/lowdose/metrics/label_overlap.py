"""Dice: how far two segmentations agree, class by class, counted part by part so that no series is held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

Labels = NDArray[np.integer]


class Overlap:
    """Voxels of every class in the label maps added so far.

    found, reference, both: (classes,) voxels of each class in the one map, in the other, and in both at once.
    """

    def __init__(self, classes: int) -> None:
        self.found = np.zeros(classes, np.int64)
        self.reference = np.zeros(classes, np.int64)
        self.both = np.zeros(classes, np.int64)

    def add(self, labels: Labels, reference: Labels) -> None:
        """One more part, a slice or a whole volume: two maps of one shape, whole numbers from 0 to classes - 1.

        Raises GeometryMismatch for two shapes, InvalidSetting for a number that is no class.
        """
        if labels.shape != reference.shape:
            raise GeometryMismatch(f"labels of shape {labels.shape} cannot be compared with {reference.shape}")
        self.found += count_labels(labels, len(self.found))
        self.reference += count_labels(reference, len(self.found))
        self.both += count_labels(labels[labels == reference], len(self.found))

    def dice(self) -> NDArray[np.float64]:
        """2 |A and B| / (|A| + |B|) of every class (Dice 1945), (classes,); NaN where neither map has the class."""
        size = self.found + self.reference
        found: NDArray[np.float64] = np.divide(2.0 * self.both, size, out=np.full(len(size), np.nan), where=size > 0)
        return found


def dice(labels: Labels, reference: Labels, classes: int) -> NDArray[np.float64]:
    """Dice of every class of two label maps of one shape, (classes,); NaN where neither has it."""
    overlap = Overlap(classes)
    overlap.add(labels, reference)
    return overlap.dice()


def count_labels(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Voxels of every class, (classes,). Raises InvalidSetting for a number that is no class."""
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise InvalidSetting(f"labels from {labels.min()} to {labels.max()}: the classes are 0 to {classes - 1}")
    found: NDArray[np.int64] = np.bincount(labels.ravel(), minlength=classes)
    return found
