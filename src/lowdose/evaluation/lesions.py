"""Evaluation with lesions: how well they are found, and how they look, at low dose, after each model and at full dose.

Lesions are inserted into both doses of a pair, and the noise of each is kept. What a reader or a detector sees of them
after denoising is the question that LIDnet (Chen et al. 2021) asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.evaluation.images import (
    FULL,
    LOW,
    denoise_with_each,
    distinct_models,
    fit_models_to_case,
    low_dose_windows,
)
from lowdose.evaluation.inserted_lesions import LESIONS, draw_lesions
from lowdose.evaluation.lesion_detection import detection_figures, detections
from lowdose.evaluation.lesion_measures import ImagePair, measure_lesion, measure_slice
from lowdose.evaluation.lesion_table import Lesion, LesionEvaluation, LesionRow, LesionSample
from lowdose.image import AIR, HU, Slice, mean_side
from lowdose.io.neighbours import slice_windows
from lowdose.io.pairing import PairedSeries
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget
from lowdose.networks import segmentation
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.detection.detector import LesionDetector
from lowdose.phantom.lesion_sites import organ_masks
from lowdose.phantom.slice_lesions import SliceLesion

USUAL_MM = 3.0
"""Thickness of slices that state neither a thickness nor a distance."""
MOST_SAMPLES = 60
"""Lesions that are kept to choose pictures from, drawn evenly from all."""
CROP_PX = 80
"""Side of the crop that is kept of each."""


@dataclass(frozen=True)
class LesionSettings:
    """What lesions are drawn and looked for with.

    Attributes
    ----------
    anatomy : Anatomy
        Network that finds organs at full dose.
    detector : LesionDetector or None
        Detector that looks for the lesions.
    checksum : str
        SHA-256 of its weights; '' without one.
    draws : int
        Draws of lesions for each slice.
    seed : int
        Seed of the draws. Those of a slice depend on it, the case and the slice alone.
    """

    anatomy: Anatomy
    detector: LesionDetector | None = None
    checksum: str = ""
    draws: int = 1
    seed: int = 0


@dataclass(frozen=True)
class _View:
    """A slice of a case with its lesions in every image, and the images without them, (y, x) HU.

    index, position, pixel_mm, aspect: of the slice at full dose. added: what the lesions add.
    """

    case: PairedSeries
    index: int
    position: float | None
    pixel_mm: float
    aspect: float
    images: dict[str, HU]
    without: dict[str, HU]
    added: HU
    lesions: list[SliceLesion]


def evaluate_lesions(
    cases: Sequence[PairedSeries],
    models: list[LoadedModel],
    settings: LesionSettings,
    strength: float,
    progress: Callable[[int], None],
    target: NoiseTarget | None = None,
) -> LesionEvaluation:
    """Insert lesions into all slices of all cases, and measure them in all images.

    ``progress`` is called with the number of slices done; ``target`` says which noise the models leave. Slices without
    room for a lesion are left out. Raises InvalidSetting for slices without a pixel size, NothingToRead where no slice
    has room.
    """
    models = distinct_models(models)
    names, device = [model.name for model in models], str(models[0].device) if models else "cpu"
    checksums = {model.name: model.sha256 for model in models}
    images = [LOW, *names, FULL]
    draws = settings.draws, settings.seed
    result = LesionEvaluation(images, checksums, settings.checksum, *draws, strength, device)
    rng, done, of_view = np.random.default_rng(settings.seed), 0, list[tuple[int, tuple[int, int]]]()
    for number, case in enumerate(cases):
        fitted = fit_models_to_case(case, models, target)
        context = max((model.denoiser.context for model in models), default=0)
        windows = slice_windows(case.full, context, [index for _, index in case.pairs])
        for (_, index), low, full in zip(case.pairs, low_dose_windows(case, models), windows, strict=True):
            for view in _views(case, low, full, fitted, settings, strength, (number, index)):
                _keep_samples(result, view, len(of_view), rng)
                _add(result, view, len(of_view), settings.detector)
                of_view.append((case.patient, (number, index)))
            done += 1
            progress(done)
    if not of_view:
        raise NothingToRead(
            f"{done} slices: none shows {' or '.join(LESIONS)} with room for a lesion; give slices that do"
        )
    if settings.detector is not None:
        patients, places = zip(*of_view, strict=True)
        result.figures = detection_figures(result.detections, _diameters(result), patients, places)
    return result


def _views(
    case: PairedSeries,
    low: Sequence[Slice],
    full: Sequence[Slice],
    models: Sequence[LoadedModel],
    settings: LesionSettings,
    strength: float,
    place: tuple[int, int],
) -> Iterator[_View]:
    """Yield a slice, in the middle of its neighbours, with each draw of lesions for which there is room.

    place: numbers of the case and of the slice at full dose.
    """
    middle, original = len(full) // 2, full[len(full) // 2]
    sides = original.pixel_mm or low[middle].pixel_mm
    if sides is None:
        raise InvalidSetting(f"{case.name}: states no pixel size, and lesions have a size in mm; give --pixel")
    valid = low[middle].valid & original.valid
    classes = segmentation.segment_slice(settings.anatomy, original.in_air, sides)
    organs = organ_masks(np.where(valid, classes, 0), tuple(LESIONS))
    step = case.full.geometry.spacing[0] if case.full.geometry else None
    thickness = case.full.acquisition.thickness_mm or step or USUAL_MM
    stack = np.stack([item.in_air for item in full])

    def made(added: HU) -> dict[str, HU]:
        """Make all images with what is added to the slices, (2c+1, y, x) HU."""
        # Where the slice itself takes the place of a missing neighbour, it shows the same lesions.
        own = [added[middle] if item is low[middle] else plane for item, plane in zip(low, added, strict=True)]
        changed = [replace(item, hu=item.hu + plane) for item, plane in zip(low, own, strict=True)]
        denoised = denoise_with_each(models, changed, strength, defaultdict(list))
        images = {LOW: changed[middle].hu, **denoised, FULL: original.hu + added[middle]}
        return {name: np.where(valid, hu, AIR) for name, hu in images.items()}

    without: dict[str, HU] = {}
    for draw in range(settings.draws):
        rng = np.random.default_rng((settings.seed, *place, draw))
        added, lesions = draw_lesions(stack, organs, sides, thickness, rng, step)
        if lesions:
            without = without or made(np.zeros_like(added))
            facts = place[1], original.position, mean_side(sides), sides[0] / sides[1]
            yield _View(case, *facts, made(added), without, added[middle], lesions)


def _add(result: LesionEvaluation, view: _View, number: int, detector: LesionDetector | None) -> None:
    """Add the rows and the detections of a view."""
    full = view.images[FULL]
    for name, hu in view.images.items():
        scores = np.full(len(view.lesions), np.nan)
        if detector is not None:
            found = detections(detector, hu, [lesion.box for lesion in view.lesions])
            result.detections.setdefault(name, []).append(found)
            scores = found.half.found_at[0]
        whole = measure_slice(hu, full) if name != FULL else {}
        for which, lesion in enumerate(view.lesions):
            values = measure_lesion(lesion, ImagePair(hu, view.without[name]), full, view.added, view.pixel_mm)
            place = view.case.name, view.case.patient, view.index, view.position
            facts = Lesion(lesion.organ, lesion.shape, lesion.diameter_mm, lesion.contrast_hu, lesion.box)
            score = float(scores[which])
            result.rows.append(LesionRow(*place, number, which, name, facts, score, values | whole))


def _keep_samples(result: LesionEvaluation, view: _View, number: int, rng: np.random.Generator) -> None:
    """Keep crops of the lesions of a view, so that in the end every lesion was as likely to be kept."""
    before = len(result.of_image(FULL))
    for which, lesion in enumerate(view.lesions):
        place = len(result.samples)
        if place == MOST_SAMPLES:
            place = int(rng.integers(before + which + 1))
        if place >= MOST_SAMPLES:
            continue
        rows, columns = (
            slice(max(0, round(middle) - CROP_PX // 2), min(side, round(middle) + CROP_PX // 2))
            for middle, side in zip(lesion.centre, view.added.shape, strict=True)
        )
        crops = {name: hu[rows, columns].copy() for name, hu in view.images.items()}
        sample = LesionSample(number, which, (rows.start, columns.start), view.aspect, crops)
        result.samples[place : place + 1] = [sample]


def _diameters(result: LesionEvaluation) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the diameters in mm of the lesions of each view."""
    of_view: dict[int, list[float]] = defaultdict(list)
    for row in result.of_image(FULL):
        of_view[row.view].append(row.lesion.diameter_mm)
    return [np.array(each) for each in of_view.values()]
