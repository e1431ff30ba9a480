"""Lesions of one open series: the detector, the denoiser it looks through, and the report of a DICOM series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from lowdose.api.checks import check_numbers, path_of
from lowdose.api.denoising import denoise_stacks
from lowdose.api.detected_lesions import DOCUMENT, DetectedLesions
from lowdose.api.messages import Progress
from lowdose.api.reading import resolve_model
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.infer.lesion_finder import LesionFinder
from lowdose.infer.lesions import DetectedLesion
from lowdose.infer.series_setup import set_up_stacks
from lowdose.io.orientation import not_axial
from lowdose.io.source import Source
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


def load_detection(
    detector: str | PathLike[str],
    model: str | PathLike[str] | LoadedModel | None,
    score: float,
    network_file: str | PathLike[str] | None,
    device: str,
) -> Detection:
    """Load a detector and its denoiser; see `lowdose.detect` for what is given and raised."""
    check_numbers(score=score)
    if not LEAST_SCORE <= score <= 1:
        raise InvalidSetting(f"--score {score:g}: must be between {LEAST_SCORE:g}, the least a detector gives, and 1")
    if model == NO_MODEL and network_file is not None:
        raise InvalidSetting(f"--network-file {network_file}: is for a model; leave it out with --model {NO_MODEL}")
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


def detect_lesions(source: Source, loaded: Detection, progress: Progress) -> DetectedLesions:
    """Find the lesions of a series, and say what is odd about it."""
    log_lines(logging.INFO, source.skipped, "skipped: ")
    finder, model = LesionFinder(loaded.detector, source, loaded.least_score), loaded.model
    if model is not None:
        log.info("model %s on %s (%s, %s)", model.name, model.device, model.engine, model.accuracy)
    setup = None if model is None else set_up_stacks(source, model, strength=1.0)
    warnings = [*(setup.warnings if setup else source.warnings), *_doubts(source)]
    log_lines(logging.INFO, setup.noise_lines if setup else [])
    log_lines(logging.WARNING, warnings)
    if setup is None:
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


def _doubts(source: Source) -> list[str]:
    """Return what a user should know of a detector on this series."""
    unplaced = len(source) > 1 and all(plane.position is None for plane in source.planes)
    alone = "the slices do not state where they lie, so that no lesion is followed from one to the next"
    return [*not_axial(source.planes, "the detector learned on axial slices"), *[alone] * unplaced]


def _look(source: Source, finder: LesionFinder, progress: Progress) -> None:
    """Look at the series as it is."""
    for index in range(len(source)):
        item = source.read(index)
        finder.write(item, item.hu)
        progress(index + 1, len(source))


def _document(source: Source, lesions: Sequence[DetectedLesion], loaded: Detection) -> tuple[bytes | None, list[str]]:
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
    settings = [
        f"detector SHA-256 {loaded.sha256}", f"looked at {_seen(loaded.model)}",
        f"least score of a box {loaded.least_score:g}",
    ]  # fmt: skip
    return lesion_document.lesion_document(lesions, evidence, settings), []


def _seen(model: LoadedModel | None) -> str:
    if model is None:
        return "the images as they are"
    return f"images denoised by {model.name}" + (f", SHA-256 {model.sha256}" if model.sha256 else "")
