"""The tasks of `evaluate`: images against full dose, organs and lesions in them, an autoencoder as LEDA's teacher."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.cases import log_warnings, open_cases, open_full_only, open_label_maps, uids_of
from lowdose.api.evaluation_report import EvaluationReport
from lowdose.api.messages import Progress
from lowdose.api.reading import Spacing, resolve_model
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.evaluation import images, organs, segmenters, total_segmentator
from lowdose.evaluation.images import ImageEvaluation
from lowdose.evaluation.lesions import LesionSettings
from lowdose.evaluation.lesions import evaluate_lesions as measure_lesions
from lowdose.evaluation.pair_checks import pair_warnings
from lowdose.evaluation.teacher import assess_teacher
from lowdose.evaluation.words import SliceLocation, WordReading, evenly_spread, read_words
from lowdose.image import HU
from lowdose.io.atomic import new_folder
from lowdose.io.findings.reading import read_findings
from lowdose.io.source import Source
from lowdose.io.stated_sizes import Sizes
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.logger import log
from lowdose.metrics.profiles import Profile
from lowdose.models.load import LoadedModel, remove_noise
from lowdose.models.noise_retention import NoiseTarget
from lowdose.networks import anatomy
from lowdose.networks.detection.detector_file import read_detector
from lowdose.networks.segmentation import WORKING_MM
from lowdose.report import lesion_evaluation as lesions_report
from lowdose.report import organs as organs_report
from lowdose.report import page as images_report
from lowdose.report import summary
from lowdose.report import words as words_report
from lowdose.weights.identity import DEFAULT_MODEL

TEACHER_SLICES = 5
"""Slices of a series on which an autoencoder is measured; noise, which takes longest, is added to the middle one."""


@dataclass(frozen=True)
class Given:
    """What all tasks are given."""

    low: list[Any]
    full: list[Any]
    data: str | PathLike[str] | None
    spacing: Spacing | None
    sizes: Sizes
    models: list[Any]
    strength: float
    target: NoiseTarget
    device: str
    progress: Progress

    def load_models(self) -> list[LoadedModel]:
        """Load each model once, on its engine; the shipped default where none is named."""
        named = dict.fromkeys(model if isinstance(model, LoadedModel) else str(model) for model in self.models)
        return [resolve_model(model, self.device) for model in named or {DEFAULT_MODEL: None}]


def evaluate_images(
    given: Given, out: Path | None, profile: Profile, guided: LanguageGuidedAutoencoder | None, vocabulary: str
) -> EvaluationReport:
    """Measure images, and read their words with ``guided``; write the report into ``out`` if it is given.

    ``vocabulary``: which words are shown (``presentation.present``).
    """
    loaded = given.load_models()
    with ExitStack() as stack:
        folder = _new_folder(stack, out)
        cases = open_cases(stack, given.low, given.full, given.data, given.spacing, given.sizes)
        count = sum(len(case.pairs) for case in cases)
        result = images.evaluate_images(
            cases, loaded, profile, given.strength, lambda done: given.progress(done, count), given.target
        )
        readings = _read_words(guided, result, vocabulary) if guided else []
        drifted = [f"{reading.case}, {line}" for reading in readings for line in words_report.drift_warnings(reading)]
        result.warnings = log_warnings(cases, [*pair_warnings(cases), *result.warnings, *drifted])
        files = {
            "table.csv": summary.table_csv(result),
            "summary.json": summary.as_json(result, uids_of(cases)),
            "index.html": images_report.page(result, readings),
        }
        if guided:
            entries = [words_report.word_entry(reading) for reading in readings]
            files["words.json"] = words_report.words_json(guided, entries, drifted, vocabulary=vocabulary)
        return _written(EvaluationReport("images", result, count, len(cases), files, readings), folder)


def evaluate_organs(given: Given, out: Path | None, segmenter: str | None, labels: list[Any]) -> EvaluationReport:
    """Measure what a segmenter finds; write the report into ``out`` if it is given."""
    alone = bool(labels and given.full) and not (given.low or given.data)
    if alone and given.models:
        raise InvalidSetting("--model without --low: models are measured on low-dose series; give one for each --full")
    chosen = segmenters.load_segmenter(segmenter or segmenters.ANATOMY, choose_device(given.device))
    if segmenter == segmenters.TOTAL_SEGMENTATOR:
        log.info("note: %s", total_segmentator.USAGE_STATISTICS_NOTE)
    loaded = [] if alone else given.load_models()
    with ExitStack() as stack:
        folder = _new_folder(stack, out)
        if alone:
            cases = open_full_only(stack, given.full, given.spacing, given.sizes)
        else:
            cases = open_cases(stack, given.low, given.full, given.data, given.spacing, given.sizes)
        maps = open_label_maps(stack, labels, len(cases), given.data)
        count = sum(len(case.pairs) for case in cases)
        total = count * (1 if alone else 2 + len(loaded))
        result = organs.evaluate_organs(
            cases, loaded, chosen, given.strength, lambda done: given.progress(done, total), maps, given.target
        )
        result.warnings = log_warnings(cases, [*pair_warnings(cases), *result.warnings])
        files = {
            "table.csv": organs_report.table_csv(result),
            "summary.json": organs_report.as_json(result, uids_of(cases)),
            "index.html": organs_report.page(result),
        }
        return _written(EvaluationReport("organs", result, count, len(cases), files), folder)


def evaluate_lesions(
    given: Given, out: Path | None, detector: Path | None, findings: Path | None, draws: int, seed: int
) -> EvaluationReport:
    """Measure how lesions, annotated or inserted ones, are found and kept; write the report into ``out`` if given."""
    where = choose_device(given.device)
    found = None if findings is None else read_findings(findings)
    network = None if found else anatomy.load_anatomy().to(where)
    settings = LesionSettings(network, found, draws=draws, seed=seed)
    if detector is not None:
        looking, checksum = read_detector(detector)
        settings = replace(settings, detector=looking.to(where), checksum=checksum)
    loaded = given.load_models()
    with ExitStack() as stack:
        folder = _new_folder(stack, out)
        cases = open_cases(stack, given.low, given.full, given.data, given.spacing, given.sizes)
        count = sum(len(case.pairs) for case in cases)
        result = measure_lesions(
            cases, loaded, settings, given.strength, lambda done: given.progress(done, count), given.target
        )
        result.warnings = log_warnings(cases, [*pair_warnings(cases), *result.warnings])
        files = {
            "table.csv": lesions_report.table_csv(result),
            "summary.json": lesions_report.as_json(result, uids_of(cases)),
            "index.html": lesions_report.page(result),
        }
        return _written(EvaluationReport("lesions", result, count, len(cases), files), folder)


def evaluate_teacher(given: Given, out: Path | None, guided: LanguageGuidedAutoencoder) -> EvaluationReport:
    """Measure an autoencoder on slices of full-dose series; write the report into ``out`` if it is given."""
    if not given.full or given.low or given.data:
        raise InvalidSetting("--task teacher: needs normal-dose series alone; give one or more --full")
    where = choose_device(given.device)
    model = resolve_model(DEFAULT_MODEL, given.device)
    with ExitStack() as stack:
        folder = _new_folder(stack, out)
        cases = open_full_only(stack, given.full, given.spacing, given.sizes)
        chosen = [
            (case.full, index)
            for case in cases
            for index in sorted({*evenly_spread(len(case.full), TEACHER_SLICES), middle_of(case.full)})
        ]

        def slices() -> Iterator[tuple[HU, tuple[float, float], bool]]:
            for done, (source, index) in enumerate(chosen):
                given.progress(done, len(chosen))
                item = source.read(index)
                yield item.in_air, item.pixel_mm or (WORKING_MM, WORKING_MM), index == middle_of(source)

        result = assess_teacher(guided, slices(), partial(remove_noise, model), anatomy.load_anatomy().to(where))
        files = {"teacher.json": json.dumps(result.to_dict(), indent=1) + "\n"}
        return _written(EvaluationReport("teacher", result, len(chosen), len(cases), files), folder)


def middle_of(source: Source) -> int:
    """Return the index of the slice in the middle of a series."""
    return len(source) // 2


def _new_folder(stack: ExitStack, out: Path | None) -> Path | None:
    """Refuse a folder that cannot be made before any work is done; it appears when ``stack`` closes without error."""
    return None if out is None else stack.enter_context(new_folder(out))


def _written(report: EvaluationReport, folder: Path | None) -> EvaluationReport:
    if folder is not None:
        report.write_files(folder)
    return report


def _read_words(guided: LanguageGuidedAutoencoder, result: ImageEvaluation, vocabulary: str) -> list[WordReading]:
    """Read the slice shown of each series in every version."""
    made = result.images[1:-1]
    return [
        read_words(guided, sample.images, SliceLocation.of(sample), made, vocabulary=vocabulary)
        for sample in result.samples
    ]
