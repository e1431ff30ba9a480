"""Evaluation with lesions: how well they are found, and how they look, at low dose, after each model and at full dose.

Lesions are inserted into both doses of a pair, where the noise of each is kept, or they are annotated. What a reader or
a detector sees of them after denoising is the question that LIDnet (Chen et al. 2021) asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.boxes import around, longer_side
from lowdose.errors import NothingToRead
from lowdose.evaluation.annotated_slices import LabelledParts, annotated_slices
from lowdose.evaluation.images import FULL, LOW, distinct_models, fit_models_to_case, low_dose_windows
from lowdose.evaluation.inserted_lesions import LESIONS
from lowdose.evaluation.lesion_detection import detection_figures, detections
from lowdose.evaluation.lesion_measures import measure_lesion, measure_slice
from lowdose.evaluation.lesion_table import LesionEvaluation, LesionRow, LesionSample
from lowdose.evaluation.lesion_views import PairedWindow, View, annotated_view, inserted_views
from lowdose.io.findings.finding import Findings
from lowdose.io.messages import counted
from lowdose.io.neighbours import slice_windows
from lowdose.io.pairing import PairedSeries
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.detection.detector import LesionDetector

MOST_SAMPLES = 60
"""Lesions that are kept to choose pictures from, drawn evenly from all."""
CROP_PX, CROP_BOXES = 80, 1.5
"""Side of the crop that is kept of each in pixels, or in longer sides of its box where that is more."""


@dataclass(frozen=True)
class LesionSettings:
    """What lesions are drawn and looked for with.

    Attributes
    ----------
    anatomy : Anatomy or None
        Network that finds organs at full dose, to insert lesions into them.
    findings : Findings or None
        Lesions that the patients have, instead of inserted ones.
    detector : LesionDetector or None
        Detector that looks for the lesions.
    checksum : str
        SHA-256 of its weights; '' without one.
    draws : int
        Draws of inserted lesions for each slice.
    seed : int
        Seed of the draws. Those of a slice depend on it, the case and the slice alone.
    """

    anatomy: Anatomy | None = None
    findings: Findings | None = None
    detector: LesionDetector | None = None
    checksum: str = ""
    draws: int = 1
    seed: int = 0


def evaluate_lesions(
    cases: Sequence[PairedSeries],
    models: list[LoadedModel],
    settings: LesionSettings,
    strength: float,
    progress: Callable[[int], None],
    target: NoiseTarget | None = None,
) -> LesionEvaluation:
    """Measure lesions in all images of all cases: those that are annotated, or inserted ones.

    ``progress`` is called with the number of slices done; ``target`` says which noise the models leave. Slices without
    a lesion, or without room for one, are left out. Raises InvalidSetting for slices without a pixel size,
    NothingToRead where no slice is left, and what ``annotated_slices`` raises.
    """
    models = distinct_models(models)
    names, device = [model.name for model in models], str(models[0].device) if models else "cpu"
    facts = {model.name: model.sha256 for model in models}, settings.checksum, settings.findings is not None
    result = LesionEvaluation([LOW, *names, FULL], *facts, settings.draws, settings.seed, strength, device)
    rng, done, of_view = np.random.default_rng(settings.seed), 0, list[tuple[int, tuple[int, int]]]()
    marked: Sequence[LabelledParts] = [{}] * len(cases)
    if settings.findings is not None:
        marked, result.warnings = annotated_slices(cases, settings.findings)
    for number, case in enumerate(cases):
        for view in _views(case, number, marked[number], models, settings, strength, target):
            if view is None:
                done += 1
                progress(done)
                continue
            _keep_samples(result, view, len(of_view), rng)
            _add(result, view, len(of_view), settings.detector)
            of_view.append((case.patient, (number, view.index)))
    if not of_view:
        raise NothingToRead(
            f"{counted(done, 'slice')}: none shows {' or '.join(LESIONS)} with room for a lesion; give slices that do"
        )
    if settings.detector is not None:
        patients, places = zip(*of_view, strict=True)
        result.figures = detection_figures(result.detections, _diameters(result), patients, places)
    return result


def _views(
    case: PairedSeries,
    number: int,
    marked: LabelledParts,
    models: list[LoadedModel],
    settings: LesionSettings,
    strength: float,
    target: NoiseTarget | None,
) -> Iterator[View | None]:
    """Yield the slices of a case with their lesions, and None after each slice. Only annotated slices are read."""
    count = len(case.pairs)
    if settings.findings is not None:
        case = replace(case, pairs=[pair for pair in case.pairs if pair[1] in marked])
        yield from [None] * (count - len(case.pairs))
    if not case.pairs:
        return
    fitted = fit_models_to_case(case, models, target)
    context = max((model.denoiser.context for model in models), default=0)
    windows = slice_windows(case.full, context, [index for _, index in case.pairs])
    for (_, index), low, full in zip(case.pairs, low_dose_windows(case, models), windows, strict=True):
        window = PairedWindow(case, index, low, full, fitted, strength)
        if settings.anatomy is not None:
            yield from inserted_views(window, settings.anatomy, settings.draws, (settings.seed, number, index))
        else:
            yield annotated_view(window, marked[index])
        yield None


def _add(result: LesionEvaluation, view: View, number: int, detector: LesionDetector | None) -> None:
    """Add the rows and the detections of a view."""
    full = view.images[FULL]
    for name, hu in view.images.items():
        scores = np.full(len(view.lesions), np.nan)
        if detector is not None:
            found = detections(detector, hu, [mark.lesion.box for mark in view.lesions])
            result.detections.setdefault(name, []).append(found)
            scores = found.half.found_at[0]
        whole = measure_slice(hu, full) if name != FULL else {}
        for which, mark in enumerate(view.lesions):
            values = measure_lesion(mark, hu, full, view.contrasts[name], view.contrasts[FULL])
            place = view.case, view.patient, view.index, view.position
            score = float(scores[which])
            result.rows.append(LesionRow(*place, number, which, name, mark.lesion, score, values | whole))


def _keep_samples(result: LesionEvaluation, view: View, number: int, rng: np.random.Generator) -> None:
    """Keep crops of the lesions of a view, so that in the end every lesion was as likely to be kept."""
    before = len(result.rows) // len(result.images)  # lesions so far
    for which, (lesion, _) in enumerate(view.lesions):
        place = len(result.samples)
        if place == MOST_SAMPLES:
            place = int(rng.integers(before + which + 1))
        if place >= MOST_SAMPLES:
            continue
        side = max(CROP_PX, round(CROP_BOXES * longer_side(lesion.box)))
        rows, columns = around(lesion.box, side, view.images[FULL].shape)
        crops = {name: hu[rows, columns].copy() for name, hu in view.images.items()}
        sample = LesionSample(number, which, (rows.start, columns.start), view.aspect, crops)
        result.samples[place : place + 1] = [sample]


def _diameters(result: LesionEvaluation) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the diameters in mm of the lesions of each view."""
    of_view: dict[int, list[float]] = defaultdict(list)
    for row in result.of_image(FULL):
        of_view[row.view].append(row.lesion.diameter_mm)
    return [np.array(each) for each in of_view.values()]
