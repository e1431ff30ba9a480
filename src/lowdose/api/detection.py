"""Find lesions in a series: the function behind ``lowdose detect``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from lowdose.api.checks import check_numbers, path_of
from lowdose.api.denoising import denoise_stacks
from lowdose.api.detected_lesions import DOCUMENT, DetectedLesions
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, resolve_model, stated_sizes
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.infer.lesion_finder import LesionFinder
from lowdose.infer.lesions import Lesion
from lowdose.infer.series_setup import set_up_stacks
from lowdose.io.atomic import new_folder
from lowdose.io.input_kind import without_gz
from lowdose.io.orientation import not_axial
from lowdose.io.source import Rescale, Source
from lowdose.logger import log, log_lines
from lowdose.models.load import LoadedModel
from lowdose.networks.detection.detector import LEAST_SCORE, LesionDetector
from lowdose.networks.detection.detector_file import read_detector
from lowdose.version import __version__

NO_MODEL = "none"
"""Stands for the series as it is, in place of a denoiser."""
INSTALL = "pip install 'lowdose[reports]'"


class Detection(NamedTuple):
    """A detector, ready for any number of series.

    Attributes
    ----------
    detector : LesionDetector
        On its device, in eval mode.
    sha256 : str
        Of its file.
    model : LoadedModel or None
        Denoiser through which it sees a series; None = the series as it is.
    least_score : float
        Score from which a box counts.
    """

    detector: LesionDetector
    sha256: str
    model: LoadedModel | None
    least_score: float


def detect(
    source: Input,
    detector: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    model: str | PathLike[str] | LoadedModel | None = None,
    score: float = 0.5,
    network_file: str | PathLike[str] | None = None,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> DetectedLesions:
    """Find lesions in a series with a detector of ``lowdose train lidnet``. For research; it is no diagnosis.

    The detector looks at each slice as `denoise` would write it with ``model``. Boxes that overlap in neighbouring
    slices are one lesion, see `lowdose.infer.lesion_linking`.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        See `read`.
    detector : str or Path
        Run folder of a training with the recipe ``lidnet``, or its detector.safetensors.
    out : str or Path, optional
        New folder for lesions.json, lesions.png and, of a DICOM series, lesions.dcm; ``save`` of the result writes the
        same.
    model : str, Path or LoadedModel, optional
        Denoiser by name or path; left out, the model of the detector's run. "none": the series as it is.
    score : float
        Score from which a box counts, 0.05 to 1.
    network_file : str or Path, optional
        Python file that registers the network of ``model``, where that is the user's own; it is executed.
    series, spacing, pixel, thickness, rescale
        See `read`.
    device : {"auto", "cpu", "cuda"}
        Where detector and denoiser run.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    DetectedLesions
        Can be saved, shown in a notebook, and turned into a dict.

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`: a file that is no detector, a run without a model, input that is no CT in HU.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.detect("SERIES", "RUN", model="fast").lines()  # doctest: +SKIP
    """
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    loaded = _load(detector, model, score, network_file, device)
    with open_input(source, series, spacing, sizes, rescale) as opened:
        if out is None:
            return _detect(opened, loaded, progress)
        with new_folder(path_of(out, "out")) as folder:
            result = _detect(opened, loaded, progress)
            result.write_files(folder)
            return result


def detect_each(
    sources: Sequence[str | PathLike[str]],
    detector: str | PathLike[str],
    out: str | PathLike[str],
    *,
    model: str | PathLike[str] | LoadedModel | None = None,
    score: float = 0.5,
    network_file: str | PathLike[str] | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> dict[str, DetectedLesions]:
    """Do what `detect` does for several series, with one folder for each in ``out``, and return the results by folder.

    The folders bear the names of the inputs, with a number where two have the same. All of it is written or nothing.
    """
    sizes = stated_sizes(pixel, thickness)
    for source in sources:
        check_given(source)
    loaded, results = _load(detector, model, score, network_file, device), dict[str, DetectedLesions]()
    with new_folder(path_of(out, "out")) as folder:
        for source, name in zip(sources, folder_names(sources), strict=True):
            log.info("%s", name)
            with open_input(source, sizes=sizes, rescale=rescale) as opened:
                results[name] = _detect(opened, loaded, progress)
            (folder / name).mkdir()
            results[name].write_files(folder / name)
    return results


def folder_names(sources: Sequence[str | PathLike[str]]) -> list[str]:
    """Return the names of inputs without their endings, each once: the second 'scan' becomes 'scan-2'."""
    names = list[str]()
    for source in sources:
        path = Path(source).resolve()
        name = without_gz(path).stem if path.is_file() else path.name
        count, free = 1, name
        while free in names:
            count, free = count + 1, f"{name}-{count + 1}"
        names.append(free)
    return names


def _load(
    detector: str | PathLike[str],
    model: str | PathLike[str] | LoadedModel | None,
    score: float,
    network_file: str | PathLike[str] | None,
    device: str,
) -> Detection:
    check_numbers(score=score)
    if not LEAST_SCORE <= score <= 1:
        raise InvalidSetting(f"--score {score:g}: must be between {LEAST_SCORE:g}, the least a detector gives, and 1")
    run, where = path_of(detector, "detector"), choose_device(device)
    network, sha256 = read_detector(run)
    denoiser = None if model == NO_MODEL else resolve_model(model or _own_model(run), device, network_file=network_file)
    return Detection(network.to(where), sha256, denoiser, score)


def _own_model(run: Path) -> Path:
    """Return the file of the denoiser that was trained with a detector. Raises InvalidSetting where there is none."""
    folder = run if run.is_dir() else run.parent
    path = folder / "model.safetensors"
    if not path.is_file():
        raise InvalidSetting(
            f"{folder}: has no model.safetensors beside the detector; name a denoiser with --model, for example fast, "
            f"or look at the series as it is with --model {NO_MODEL}"
        )
    return path


def _detect(source: Source, loaded: Detection, progress: Progress) -> DetectedLesions:
    log_lines(logging.INFO, source.skipped, "skipped: ")
    finder, model = LesionFinder(loaded.detector, source, loaded.least_score), loaded.model
    if model is None:
        warnings = list(source.warnings)
    else:
        log.info("model %s on %s (%s, %s)", model.name, model.device, model.engine, model.accuracy)
        setup = set_up_stacks(source, model, strength=1.0)
        warnings = list(setup.warnings)
        log_lines(logging.INFO, setup.noise_lines)
    warnings += not_axial(source.planes, "the detector learned on axial slices")
    if len(source) > 1 and all(plane.position is None for plane in source.planes):
        warnings.append("the slices do not state where they lie, so that no lesion is followed from one to the next")
    log_lines(logging.WARNING, warnings)
    if model is None:
        _look(source, finder, progress)
    else:
        denoise_stacks(source, finder, setup, 1, progress)
    lesions = finder.lesions()
    document, missing = _document(source, lesions, loaded)
    log_lines(logging.WARNING, missing)
    made_with = {
        "lowdose": __version__,
        "detector": {"sha256": loaded.sha256},
        "model": None if model is None else {"name": model.name, "sha256": model.sha256},
        "input": dict(source.uids),
    }
    return DetectedLesions(
        tuple(lesions), len(source), None if model is None else model.name, loaded.least_score,
        (*warnings, *missing), made_with, document,
    )  # fmt: skip


def _look(source: Source, finder: LesionFinder, progress: Progress) -> None:
    """Look at the series as it is."""
    for index in range(len(source)):
        item = source.read(index)
        finder.write(item, item.hu)
        progress(index + 1, len(source))


def _document(source: Source, lesions: Sequence[Lesion], loaded: Detection) -> tuple[bytes | None, list[str]]:
    """Return the structured report of a DICOM series, or a sentence on why there is none; nothing for other formats."""
    if not source.uids:
        return None, []
    from lowdose.io.dicom.evidence import evidence_of
    from lowdose.io.dicom.series import DicomSource
    from lowdose.report import lesion_document

    if not isinstance(source, DicomSource):
        return None, [f"no {DOCUMENT}: it is written for DICOM that is given by its path, not for a volume in memory"]
    if not lesion_document.can_write():
        return None, [f"no {DOCUMENT}: the package highdicom writes it and is not installed ({INSTALL})"]
    evidence = evidence_of(source)
    if evidence is None:
        return None, [f"no {DOCUMENT}: the images lack UIDs by which it could refer to them"]
    model = loaded.model
    seen = "the images as they are" if model is None else f"images denoised by {model.name}, SHA-256 {model.sha256}"
    settings = [
        f"detector SHA-256 {loaded.sha256}", f"looked at {seen}", f"least score of a box {loaded.least_score:g}",
    ]  # fmt: skip
    return lesion_document.lesion_document(lesions, evidence, settings), []
