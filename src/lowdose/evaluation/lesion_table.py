"""The table of an evaluation with lesions, one row for each lesion and image, and its summaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lowdose.evaluation.images import FULL
from lowdose.evaluation.lesion_detection import DetectionFigures, SliceDetections, score_at
from lowdose.evaluation.lesion_marks import Lesion
from lowdose.evaluation.lesion_measures import FIDELITY, TEXTURE
from lowdose.image import HU
from lowdose.metrics.lesion_detection import join_outcomes
from lowdose.metrics.statistics import Summary, summarise

MEASURES = ("contrast_kept", *TEXTURE, *(f"roi_{name}" for name in FIDELITY), *FIDELITY)
"""What is measured of every lesion in every image; the last three are of the whole slice."""


@dataclass(frozen=True)
class LesionRow:
    """One lesion in one image.

    Attributes
    ----------
    case : str
        Name of the case.
    patient : int
        Number of the patient.
    slice_ : int
        Index of the slice in its full-dose series.
    position : float or None, mm
        Its position.
    view : int
        Number of the slice with its lesions, over all cases; a slice that gets several draws of lesions has several.
    number : int
        Number of the lesion in it.
    image : str
        ``"low dose"``, the name of a model, or ``"full dose"``.
    lesion : Lesion
        The lesion.
    score : float
        Score of the detection that finds it; -inf where none does, NaN without a detector.
    values : dict of str to float
        By name in ``MEASURES``; those that compare with full dose are left out of full dose.
    """

    case: str
    patient: int
    slice_: int
    position: float | None
    view: int
    number: int
    image: str
    lesion: Lesion
    score: float
    values: dict[str, float]


@dataclass(frozen=True)
class LesionSample:
    """A lesion to be shown: what lies around it in every image.

    Attributes
    ----------
    view, number : int
        Which lesion, see ``LesionRow``.
    corner : tuple of int, pixels
        Row and column of the first pixel of the crops in the slice.
    aspect : float
        Height of a pixel over its width.
    images : dict of str to array
        Crops (y, x), HU, by image.
    """

    view: int
    number: int
    corner: tuple[int, int]
    aspect: float
    images: dict[str, HU]


@dataclass
class LesionEvaluation:
    """Everything that a report shows.

    Attributes
    ----------
    images : list of str
        Names of all images: low dose, the models, full dose.
    models : dict of str to str
        SHA-256 of the weights of each model; '' for a classical filter.
    detector : str
        SHA-256 of the detector's weights; '' without one.
    annotated : bool
        Whether the lesions are the patients' own instead of inserted ones.
    draws, seed : int
        Draws of inserted lesions for each slice, and what they depend on.
    strength : float
        Strength of the models.
    device : str
        Where they ran.
    rows : list of LesionRow
        All numbers.
    detections : dict of str to list of SliceDetections
        By image, those of every view; empty without a detector.
    figures : DetectionFigures or None
        How well the lesions were found; None without a detector.
    samples : list of LesionSample
        Lesions to choose from for pictures.
    warnings : list of str
        What a reader should know.
    """

    images: list[str]
    models: dict[str, str]
    detector: str
    annotated: bool
    draws: int
    seed: int
    strength: float
    device: str
    rows: list[LesionRow] = field(default_factory=list)
    detections: dict[str, list[SliceDetections]] = field(default_factory=dict)
    figures: DetectionFigures | None = None
    samples: list[LesionSample] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def of_image(self, image: str) -> list[LesionRow]:
        """Return the rows of one image, one for each lesion."""
        return [row for row in self.rows if row.image == image]

    def threshold(self, image: str, false_a_slice: float) -> float:
        """Return the score from which a lesion counts as found in an image, at so many false detections a slice."""
        return score_at(join_outcomes([each.half for each in self.detections[image]]), false_a_slice)

    def summary(self, image: str, measure: str) -> Summary | None:
        """Summarise a measure over slices, each of which is the mean over its lesions; None if there is no value."""
        return _over_slices([(row, row.values[measure]) for row in self.of_image(image) if measure in row.values])

    def change(self, image: str, measure: str, before: str = FULL) -> Summary | None:
        """Summarise the difference of a measure from the image ``before``, lesion by lesion."""
        old = {(row.view, row.number): row.values for row in self.of_image(before)}
        pairs = [(row, row.values, old[row.view, row.number]) for row in self.of_image(image)]
        return _over_slices(
            [
                (row, _less(new[measure], first[measure]))
                for row, new, first in pairs
                if measure in new and measure in first
            ]
        )


def _less(value: float, other: float) -> float:
    """Return the difference, which is 0 for equal values that are infinite, as the PSNR of identical images."""
    return 0.0 if value == other else value - other


def _over_slices(values: Sequence[tuple[LesionRow, float]]) -> Summary | None:
    by_slice: dict[tuple[Hashable, ...], list[float]] = defaultdict(list)
    patients: dict[tuple[Hashable, ...], int] = {}
    for row, value in values:
        by_slice[row.case, row.slice_].append(value)
        patients[row.case, row.slice_] = row.patient
    means = [float(np.mean(each)) for each in by_slice.values()]
    return summarise(means, list(patients.values()), seed=0) if means else None
