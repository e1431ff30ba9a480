"""Evaluation of models by the organs that a segmenter finds: Dice, HD95, volume and HU of each organ in each image.

This is the multi-organ evaluation of ALDEN (Wang 2025): if a denoiser preserves the anatomy, a segmenter finds in its
result the organs that it finds at full dose.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lowdose.errors import InvalidSetting
from lowdose.evaluation.images import (
    FULL,
    LOW,
    denoise_with_each,
    distinct_models,
    fit_models_to_case,
    low_dose_windows,
)
from lowdose.evaluation.organ_statistics import OrganRow, OrganSample, OrganStatistics
from lowdose.evaluation.segmenters import Segmenter, SliceVersions
from lowdose.image import AIR
from lowdose.io.label_map import LabelMap, check_on_grid, labels_of_slice
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.statistics import Summary, summarise
from lowdose.metrics.surface_distance import unavailable_reason
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget


@dataclass
class OrganEvaluation:
    """Result of an organ evaluation, with everything that a report shows.

    Attributes
    ----------
    segmenter : str
        Name of the segmenter.
    sha256 : str
        Checksum of its weights; '' if they are not files of lowdose.
    given : bool
        Whether the reference consists of labels that the user gave, instead of the full-dose segmentation.
    strength : float
        Strength of the models, 0 to 1.
    device : str
        Device that the segmenter ran on.
    images : list of str
        Names of the images: low dose, each model, full dose.
    models : dict of str to str
        SHA-256 of the weights of each model.
    names : dict of int to str
        Name of each organ that is evaluated, by its number in the segmenter.
    rows : list of OrganRow
        Statistics of each organ, image and case.
    samples : list of OrganSample
        One slice of each case.
    warnings : list of str
        Messages for the user.
    """

    segmenter: str
    sha256: str
    given: bool
    strength: float
    device: str
    images: list[str]
    models: dict[str, str]
    names: dict[int, str]
    rows: list[OrganRow] = field(default_factory=list)
    samples: list[OrganSample] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def organs_compared(self) -> list[str]:
        """Return the organs that have a Dice value in some image, in the order of the segmenter."""
        with_dice = {row.organ for row in self.rows if not np.isnan(row.dice)}
        return [name for name in self.names.values() if name in with_dice]

    def values(self, image: str, organ: str, what: str = "dice") -> dict[tuple[str, int], float]:
        """Return one statistic (a field of ``OrganRow``) of an organ in an image, by (case, patient), without NaN."""
        chosen = [row for row in self.rows if row.image == image and row.organ == organ]
        measured = {(row.case, row.patient): float(getattr(row, what)) for row in chosen}
        return {case: value for case, value in measured.items() if not np.isnan(value)}

    def summary(self, image: str, organ: str | None, what: str = "dice") -> Summary | None:
        """Summarise a statistic over the cases; without an organ, the mean over the organs of each case.

        HD95 is a mean over the organs that the image shows: one that it loses counts in Dice only.
        """
        return _over_cases([self.values(image, name, what) for name in ([organ] if organ else self.organs_compared())])

    def change(self, image: str, organ: str | None, before: str = LOW, what: str = "dice") -> Summary | None:
        """Summarise the difference of a statistic from the image ``before``, over the cases that have both.

        Without an organ, the mean over the organs of each case is summarised.
        """
        changes = []
        for name in [organ] if organ else self.organs_compared():
            new, old = self.values(image, name, what), self.values(before, name, what)
            changes.append({case: new[case] - old[case] for case in new if case in old})
        return _over_cases(changes)


def _over_cases(organs: list[dict[tuple[str, int], float]]) -> Summary | None:
    """Summarise over the cases the mean over the organs of each case; None if there is no value."""
    cases = list(dict.fromkeys(case for values in organs for case in values))
    means = [float(np.mean([values[case] for values in organs if case in values])) for case in cases]
    return summarise(means, [patient for _, patient in cases], seed=0) if cases else None


def evaluate_organs(
    cases: Sequence[PairedSeries],
    models: list[LoadedModel],
    segmenter: Segmenter,
    strength: float,
    progress: Callable[[int], None],
    given: Sequence[LabelMap] = (),
    target: NoiseTarget | None = None,
) -> OrganEvaluation:
    """Segment the organs in all images of all cases and compare them with the reference.

    ``progress`` is called with the number of images (one version of one slice) segmented so far. The reference is
    the full-dose segmentation, or ``given``: one label map for each case, on the grid of its full-dose series.
    ``target`` says which noise the models leave. Organs whose label occurs in none of the label maps are left out,
    because a data set may be annotated in part. If ``low`` and ``full`` of a case are the same series, only full
    dose is evaluated. Without MONAI, HD95 is NaN and a warning says so. Raises GeometryMismatch for labels on another
    grid and for series that the segmenter cannot segment, InvalidSetting if no given label is an organ that it knows.
    """
    models = distinct_models(models)
    for case in cases:
        segmenter.check(case)
    for case, labels_of_case in zip(cases, given, strict=False):
        check_on_grid(labels_of_case, case.full, [index for _, index in case.pairs])
    images = [FULL] if all(_is_unpaired(case) for case in cases) else [LOW, *(model.name for model in models), FULL]
    device = str(segmenter.device)
    checksums = {model.name: model.sha256 for model in models}
    names = _names(segmenter, given)
    result = OrganEvaluation(segmenter.name, segmenter.sha256, bool(given), strength, device, images, checksums, names)
    reason = unavailable_reason()
    if reason:
        result.warnings.append(f"HD95 is left out: {reason}")
    done = 0

    def drawn(count: int) -> None:
        nonlocal done
        done += count
        progress(done)

    for number, case in enumerate(cases):
        statistics = OrganStatistics(names, case, with_distances=not reason)
        segmented = segmenter.draw(case, _versions(case, models, strength, target), drawn)
        for (_, index), (item, labels) in zip(case.pairs, segmented, strict=True):
            reference = segmenter.table[labels_of_slice(given[number], case.full, index)] if given else None
            statistics.add(item, labels, reference)
        result.rows += statistics.rows()
        result.samples += statistics.samples
    return result


def _names(segmenter: Segmenter, given: Sequence[LabelMap]) -> dict[int, str]:
    """Return the organs to evaluate, number to name.

    Raises InvalidSetting if labels are given and none of them is an organ of the segmenter.
    """
    present = {int(segmenter.table[label]) for labels in given for label in labels.present}
    names = {number: name for number, name in segmenter.organs.items() if not given or number in present}
    if not names:
        paths = ", ".join(str(labels.path) for labels in given)
        raise InvalidSetting(f"{paths}: none of the labels is an organ that {segmenter.name} draws")
    return names


def _is_unpaired(case: PairedSeries) -> bool:
    """Return whether a case has no low-dose series of its own."""
    return case.low is case.full


def _versions(
    case: PairedSeries, models: list[LoadedModel], strength: float, target: NoiseTarget | None
) -> Iterator[SliceVersions]:
    """Yield every paired slice in all versions."""
    fitted = fit_models_to_case(case, models, target)
    for (_, index), window in zip(case.pairs, low_dose_windows(case, models), strict=True):
        low = window[len(window) // 2]
        full = low if _is_unpaired(case) else case.full.read(index)
        images = {FULL: full.hu}
        if not _is_unpaired(case):
            images = {LOW: low.hu, **denoise_with_each(fitted, window, strength, defaultdict(list)), FULL: full.hu}
        valid = low.valid & full.valid
        # The values of padding differ between scanners and carry no information: all versions get air there.
        masked = {name: np.where(valid, hu, AIR) for name, hu in images.items()}
        yield SliceVersions(low.position, low.pixel_mm or full.pixel_mm, valid, masked)
