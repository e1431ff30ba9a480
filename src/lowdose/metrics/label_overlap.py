"""Dice coefficient of two segmentations per class, counted part by part so that no whole series is held in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting

Labels = NDArray[np.integer]


class Overlap:
    """Voxel counts per class of two label maps, accumulated over slices or volumes.

    Parameters
    ----------
    classes : int
        Number of classes; labels are integers from 0 to ``classes - 1``.

    Attributes
    ----------
    found : ndarray of int64, shape (classes,)
        Voxels of each class in the evaluated label maps.
    reference : ndarray of int64, shape (classes,)
        Voxels of each class in the reference label maps.
    both : ndarray of int64, shape (classes,)
        Voxels that have the class in both maps.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import Overlap
    >>> overlap = Overlap(2)
    >>> overlap.add(np.array([0, 1, 1]), np.array([0, 1, 0]))
    >>> overlap.add(np.array([1, 1, 1]), np.array([1, 1, 1]))
    >>> overlap.dice().round(3)
    array([0.667, 0.889])
    """

    def __init__(self, classes: int) -> None:
        self.found = np.zeros(classes, np.int64)
        self.reference = np.zeros(classes, np.int64)
        self.both = np.zeros(classes, np.int64)

    def add(self, labels: Labels, reference: Labels) -> None:
        """Add the counts of one more slice or volume.

        Parameters
        ----------
        labels, reference : ndarray of int, any shape
            Evaluated and reference label map of the same shape, with values from 0 to ``classes - 1``.

        Raises
        ------
        GeometryMismatch
            If the shapes differ.
        InvalidSetting
            If a label is not one of the classes.
        """
        if labels.shape != reference.shape:
            raise GeometryMismatch(f"labels of shape {labels.shape} cannot be compared with {reference.shape}")
        self.found += count_labels(labels, len(self.found))
        self.reference += count_labels(reference, len(self.found))
        self.both += count_labels(labels[labels == reference], len(self.found))

    def dice(self) -> NDArray[np.float64]:
        """Compute the Dice coefficient 2 |A and B| / (|A| + |B|) of each class from the counts so far (Dice 1945).

        Returns
        -------
        ndarray of float64, shape (classes,)
            Values from 0 to 1; NaN for a class that is in neither map.
        """
        size = self.found + self.reference
        values: NDArray[np.float64] = np.divide(2.0 * self.both, size, out=np.full(len(size), np.nan), where=size > 0)
        return values


def dice(labels: Labels, reference: Labels, classes: int) -> NDArray[np.float64]:
    """Compute the Dice coefficient 2 |A and B| / (|A| + |B|) of each class of two label maps.

    Parameters
    ----------
    labels, reference : ndarray of int, any shape
        Evaluated and reference label map of the same shape, with values from 0 to ``classes - 1``. The result is the
        same when they are exchanged.
    classes : int
        Number of classes.

    Returns
    -------
    ndarray of float64, shape (classes,)
        Values from 0 (no common voxel) to 1 (identical); NaN for a class that is in neither map.

    Raises
    ------
    GeometryMismatch
        If the shapes differ.
    InvalidSetting
        If a label is not one of the classes.

    References
    ----------
    .. [1] Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import dice
    >>> dice(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), classes=3).round(3)
    array([0.667, 0.8  ,   nan])
    """
    overlap = Overlap(classes)
    overlap.add(labels, reference)
    return overlap.dice()


def count_labels(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Count the voxels of each class, shape (classes,); raise InvalidSetting for a label that is not a class."""
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise InvalidSetting(f"labels from {labels.min()} to {labels.max()}: the classes are 0 to {classes - 1}")
    counts: NDArray[np.int64] = np.bincount(labels.ravel(), minlength=classes)
    return counts
