"""What a segmenter makes of low dose, of each model and of full dose: Dice, volume, mean HU and SD of every organ.

The multi-organ evaluation of ALDEN (Wang 2025): a denoiser that keeps the anatomy lets a segmenter find the organs
that it finds at full dose.
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
from lowdose.models.load import LoadedModel


@dataclass
class OrganEvaluation:
    """Everything a report shows. given: whether the reference is labels of the user's, not the full-dose drawing."""

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

    def judged(self) -> list[str]:
        """Organs that have a Dice in some image, in the segmenter's order."""
        found = {row.organ for row in self.rows if not np.isnan(row.dice)}
        return [name for name in self.names.values() if name in found]

    def values(self, image: str, organ: str, what: str = "dice") -> dict[tuple[str, int], float]:
        """(case, patient) -> what was measured of an organ of an image, where it could be."""
        chosen = [row for row in self.rows if row.image == image and row.organ == organ]
        measured = {(row.case, row.patient): float(getattr(row, what)) for row in chosen}
        return {case: value for case, value in measured.items() if not np.isnan(value)}

    def dice(self, image: str, organ: str | None) -> Summary | None:
        """Over the cases; without an organ of each case's mean over its organs."""
        return _over_cases([self.values(image, name) for name in ([organ] if organ else self.judged())])

    def change(self, image: str, organ: str | None, before: str = LOW, what: str = "dice") -> Summary | None:
        """The same of what an image has more than another, case by case, where both could be measured."""
        changes = []
        for name in [organ] if organ else self.judged():
            new, old = self.values(image, name, what), self.values(before, name, what)
            changes.append({case: new[case] - old[case] for case in new if case in old})
        return _over_cases(changes)


def _over_cases(organs: list[dict[tuple[str, int], float]]) -> Summary | None:
    cases = list(dict.fromkeys(case for found in organs for case in found))
    means = [float(np.mean([found[case] for found in organs if case in found])) for case in cases]
    return summarise(means, [patient for _, patient in cases], seed=0) if cases else None


def evaluate_organs(
    cases: Sequence[PairedSeries],
    models: list[LoadedModel],
    segmenter: Segmenter,
    strength: float,
    progress: Callable[[int], None],
    given: Sequence[LabelMap] = (),
) -> OrganEvaluation:
    """Draw and compare the organs of every case; ``progress`` gets the number of images (slice by version) drawn.

    The reference is what is drawn at full dose, or ``given``: one label map for each case, on the grid of its
    full-dose series. Labels that occur in none of them are not judged: a set may be annotated in part. A case whose
    ``low`` is its ``full`` has nothing but full dose to be judged. Raises GeometryMismatch for labels on another grid
    and series that the segmenter cannot draw, InvalidSetting when nothing of what is given can be judged.
    """
    models = distinct_models(models)
    for case in cases:
        segmenter.check(case)
    for case, own in zip(cases, given, strict=False):
        check_on_grid(own, case.full, [index for _, index in case.pairs])
    images = [FULL] if all(_alone(case) for case in cases) else [LOW, *(model.name for model in models), FULL]
    device = str(segmenter.device)
    shas = {model.name: model.sha256 for model in models}
    names = _names(segmenter, given)
    result = OrganEvaluation(segmenter.name, segmenter.sha256, bool(given), strength, device, images, shas, names)
    done = 0

    def drawn(count: int) -> None:
        nonlocal done
        done += count
        progress(done)

    for number, case in enumerate(cases):
        tally = OrganStatistics(names, case)
        stream = segmenter.draw(case, _versions(case, models, strength), drawn)
        for (_, index), (item, labels) in zip(case.pairs, stream, strict=True):
            reference = segmenter.table[labels_of_slice(given[number], case.full, index)] if given else None
            tally.add(item, labels, reference)
        result.rows += tally.rows()
        result.samples += tally.samples
    return result


def _names(segmenter: Segmenter, given: Sequence[LabelMap]) -> dict[int, str]:
    """What is judged: number -> name. Raises InvalidSetting when labels are given and none is of the segmenter's."""
    present = {int(segmenter.table[label]) for labels in given for label in labels.present}
    names = {number: name for number, name in segmenter.organs.items() if not given or number in present}
    if not names:
        paths = ", ".join(str(labels.path) for labels in given)
        raise InvalidSetting(f"{paths}: none of the labels is an organ that {segmenter.name} draws")
    return names


def _alone(case: PairedSeries) -> bool:
    return case.low is case.full


def _versions(case: PairedSeries, models: list[LoadedModel], strength: float) -> Iterator[SliceVersions]:
    fitted = fit_models_to_case(case, models)
    for (_, index), around in zip(case.pairs, low_dose_windows(case, models), strict=True):
        low = around[len(around) // 2]
        full = low if _alone(case) else case.full.read(index)
        images = {FULL: full.hu}
        if not _alone(case):
            images = {LOW: low.hu, **denoise_with_each(fitted, around, strength, defaultdict(list)), FULL: full.hu}
        valid = low.valid & full.valid
        # Padding differs between scanners and means nothing: every version shows air there.
        shown = {name: np.where(valid, hu, AIR) for name, hu in images.items()}
        yield SliceVersions(low.position, low.pixel_mm or full.pixel_mm, valid, shown)
