"""How well a detector finds lesions in each of several images of the same slices, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lowdose.image import HU
from lowdose.metrics.lesion_detection import Outcome, average_precision, free_response, join_outcomes, match_detections
from lowdose.metrics.statistics import FEWEST_PATIENTS
from lowdose.networks.detection.detector import LesionDetector

FALSE_A_SLICE = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Mean numbers of false detections in a slice at which the free-response curve is read."""
OPERATING = 0.5
"""The one at which a lesion counts as found, in the table, by size and in pictures."""
SIZES_MM = ((0.0, 8.0), (8.0, 12.0), (12.0, 16.0), (16.0, np.inf))
"""Classes of diameter."""
RESAMPLES = 500
"""Bootstrap samples; each joins and sorts all detections anew."""

Floats = NDArray[np.float64]


class SliceDetections(NamedTuple):
    """Detections in one image of a slice, and how they match its lesions.

    Attributes
    ----------
    boxes : (N, 4) pixels
        Top, left, bottom and right edge.
    scores : (N,)
        Scores.
    half, three_quarters : Outcome
        Matched at an intersection over union of 0.5 and of 0.75.
    """

    boxes: Floats
    scores: Floats
    half: Outcome
    three_quarters: Outcome


class Estimate(NamedTuple):
    """Figure with the ends of its 95 % interval; NaN where it could not be measured."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class DetectionFigures:
    """Figures of several images, by image and name of the figure.

    Attributes
    ----------
    values, changes : mapping
        Each figure, and its difference from the first image, paired in every bootstrap sample.
    resampled : str
        What was drawn anew: "patients" or "slices".
    """

    values: Mapping[str, Mapping[str, Estimate]]
    changes: Mapping[str, Mapping[str, Estimate]]
    resampled: str


def match_slice(boxes: ArrayLike, scores: ArrayLike, lesions: ArrayLike) -> SliceDetections:
    """Match the detections of a slice, boxes (N, 4) with scores (N,), with its lesions, boxes (M, 4)."""
    half, three_quarters = (match_detections([boxes], [scores], [lesions], overlap) for overlap in (0.5, 0.75))
    found = np.asarray(boxes, np.float64).reshape(-1, 4)
    return SliceDetections(found, np.asarray(scores, np.float64).reshape(-1), half, three_quarters)


def detections(detector: LesionDetector, hu: HU, lesions: ArrayLike) -> SliceDetections:
    """Let a detector look at a slice (y, x) HU, and match what it finds with the lesions, boxes (M, 4)."""
    device = next(detector.parameters()).device
    (found,) = detector.detect(torch.from_numpy(np.asarray(hu, np.float32))[None, None].to(device))
    return match_slice(found.boxes.cpu().numpy(), found.scores.cpu().numpy(), lesions)


def size_name(size: tuple[float, float]) -> str:
    """Return the name of a class of diameter.

    >>> size_name((8.0, 12.0)), size_name((16.0, np.inf))
    ('8-12 mm', '16 mm or more')
    """
    return f"{size[0]:g} mm or more" if np.isinf(size[1]) else f"{size[0]:g}-{size[1]:g} mm"


def sensitivity_name(false_a_slice: float) -> str:
    """Return the name of the sensitivity at so many false detections in a slice."""
    return f"sensitivity at {false_a_slice:g}"


def score_at(outcome: Outcome, false_a_slice: float) -> float:
    """Return the lowest score with at most so many false detections in a slice; infinity where there is none."""
    allowed = np.cumsum(~outcome.hits) <= false_a_slice * len(outcome.found_at)
    return float(outcome.scores[allowed].min()) if allowed.any() else np.inf


def figures(slices: Sequence[SliceDetections], diameters_mm: Sequence[Floats]) -> dict[str, float]:
    """Return the figures of one image of all slices by name.

    These are ``ap50``, ``ap75``, the sensitivity at each of ``FALSE_A_SLICE``, and the sensitivity at ``OPERATING`` in
    each class of diameter that occurs. ``diameters_mm``: of the lesions of each slice.
    """
    half = join_outcomes([each.half for each in slices])
    sizes, seen = np.concatenate(diameters_mm), np.concatenate(half.found_at) >= score_at(half, OPERATING)
    found = {
        "ap50": average_precision(half),
        "ap75": average_precision(join_outcomes([each.three_quarters for each in slices])),
    }
    read = free_response(half, FALSE_A_SLICE)
    found |= {sensitivity_name(rate): float(value) for rate, value in zip(FALSE_A_SLICE, read, strict=True)}
    for size in SIZES_MM:
        inside = (sizes >= size[0]) & (sizes < size[1])
        if inside.any():
            found[size_name(size)] = float(seen[inside].mean())
    return found


def detection_figures(
    images: Mapping[str, Sequence[SliceDetections]],
    diameters_mm: Sequence[Floats],
    patients: Sequence[Hashable],
    slices: Sequence[Hashable],
    seed: int = 0,
) -> DetectionFigures:
    """Return the figures of every image with 95 % intervals, and their differences from the first image.

    Patients are drawn anew, or slices where there are fewer than five patients, as by ``metrics.summarise``.

    images: detections by name of the image, the same slices in each. diameters_mm: of the lesions of each. patients,
    slices: what each belongs to; a slice may occur several times, with other lesions.
    """
    by_patient = len(set(patients)) >= FEWEST_PATIENTS
    units = _units(patients if by_patient else slices)
    whole = {name: figures(of_image, diameters_mm) for name, of_image in images.items()}
    drawn = _bootstrap(images, diameters_mm, units, list(next(iter(whole.values()))), seed)
    first = next(iter(images))
    values, changes = dict[str, dict[str, Estimate]](), dict[str, dict[str, Estimate]]()
    for name, own in whole.items():
        values[name] = _estimates(own, drawn[name])
        difference = {figure: value - whole[first][figure] for figure, value in own.items()}
        changes[name] = _estimates(difference, drawn[name] - drawn[first])
    return DetectionFigures(values, changes, "patients" if by_patient else "slices")


def _units(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the places of each distinct key."""
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return list(places.values())


def _bootstrap(
    images: Mapping[str, Sequence[SliceDetections]],
    diameters_mm: Sequence[Floats],
    units: list[list[int]],
    names: list[str],
    seed: int,
) -> dict[str, Floats]:
    """Return the figures (RESAMPLES, len(names)) of each image in the same bootstrap samples; one unit gives none."""
    rng, drawn = np.random.default_rng(seed), dict[str, list[list[float]]]({name: [] for name in images})
    for _ in range(RESAMPLES if len(units) > 1 else 0):
        chosen = [place for unit in rng.integers(len(units), size=len(units)) for place in units[unit]]
        sizes = [diameters_mm[place] for place in chosen]
        for name, of_image in images.items():
            found = figures([of_image[place] for place in chosen], sizes)
            drawn[name].append([found.get(figure, np.nan) for figure in names])
    return {name: np.array(rows, np.float64).reshape(-1, len(names)) for name, rows in drawn.items()}


def _estimates(values: Mapping[str, float], drawn: Floats) -> dict[str, Estimate]:
    """Return values (by name, in the order of the columns of ``drawn``) with their percentile intervals."""
    found = {}
    for (name, value), column in zip(values.items(), drawn.T, strict=True):
        usable = column[~np.isnan(column)]
        low, high = np.quantile(usable, [0.025, 0.975]) if len(usable) else (np.nan, np.nan)
        found[name] = Estimate(value, float(low), float(high))
    return found
