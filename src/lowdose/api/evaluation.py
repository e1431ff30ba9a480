"""Measure low dose and models against full dose: the function behind ``lowdose evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.cases import log_warnings, open_cases, open_full_only, open_label_maps, uids_of
from lowdose.api.checks import check_numbers, path_of
from lowdose.api.evaluation_report import EvaluationReport
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, run_network_file, stated_sizes
from lowdose.api.words_of_series import load_word_autoencoder
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.evaluation import images, organs, segmenters, total_segmentator
from lowdose.evaluation.images import ImageEvaluation
from lowdose.evaluation.pair_checks import pair_warnings
from lowdose.evaluation.words import SliceLocation, WordReading, read_words
from lowdose.hounsfield import Window
from lowdose.infer import pipeline
from lowdose.io.atomic import new_folder
from lowdose.io.stated_sizes import Sizes
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.logger import log
from lowdose.metrics.profiles import PROFILES, Profile
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.models.noise_retention import NoiseTarget
from lowdose.report import organs as organs_report
from lowdose.report import page as images_report
from lowdose.report import summary
from lowdose.report import words as words_report
from lowdose.weights.identity import DEFAULT_MODEL

TASKS = ("images", "organs")
ModelInput = str | PathLike[str] | LoadedModel
Inputs = Input | Sequence[Input] | None


def evaluate(
    low: Inputs = None,
    full: Inputs = None,
    *,
    out: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    task: str = "images",
    model: ModelInput | Sequence[ModelInput] | None = None,
    profile: str | None = None,
    window: tuple[float, float] | None = None,
    segmenter: str | None = None,
    labels: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    words: bool = False,
    autoencoder: str | PathLike[str] | None = None,
    strength: float = 1.0,
    dose: float | None = None,
    noise_sd: float | None = None,
    texture: str | None = None,
    network_file: str | PathLike[str] | None = None,
    device: str = "auto",
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    progress: Progress = no_progress,
) -> EvaluationReport:
    """Measure low dose and models against full dose.

    Parameters
    ----------
    low, full : str, Path, Volume, numpy.ndarray, or a sequence of them
        Low-dose series, and the full-dose series of each.
    out : str or Path, optional
        New folder for table.csv, summary.json and index.html; ``save`` of the result writes the same.
    data : str or Path, optional
        Instead of low and full: a folder in which pairs of folders are looked for.
    task : {"images", "organs"}
        "images": RMSE, PSNR, SSIM, FSIM, VIF, noise, HU of every tissue. "organs": what a segmenter finds of every
        organ of what it finds at full dose, or of ``labels``; then ``full`` may go without ``low``.
    model : str, Path, LoadedModel, or a sequence of them
        Models to measure; the shipped default if left out.
    network_file : str or Path, optional
        Python file that registers the networks of ``model``, where they are the user's own; it is executed.
    profile : str, optional
        For images: a key of `lowdose.metrics.PROFILES`, which defines the metrics.
    window : tuple of float, optional
        For images: another window than that of the profile, (low, high) in HU.
    segmenter : str, optional
        For organs: "anatomy", "total_segmentator" or a file of ``lowdose train anatomy``.
    labels : str, Path, or a sequence of them
        For organs: NIfTI label maps as the truth, one for each of ``full``.
    words : bool
        For images: also read the words of the slices shown, and where they drifted apart.
    autoencoder : str or Path, optional
        For words: a shipped autoencoder or a .safetensors file.
    strength : float
        Blend of every model with the input, 0 to 1.
    dose, noise_sd, texture
        How much noise models of the noise-free image leave, see `lowdose.denoise`.
    device : {"auto", "cpu", "cuda"}
        Where the networks run.
    spacing : tuple of float, optional
        (z, y, x) in mm, where low and full are arrays.
    pixel, thickness : float, optional
        Pixel size and slice thickness in mm of series that state none, see `lowdose.read`.
    progress : callable
        Called with (images done, images).

    Returns
    -------
    EvaluationReport
        Can be saved, shown in a notebook, and turned into a dict or a table.

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`: GeometryMismatch for series that lie on different grids, InvalidSetting for options
        that do not fit the task.

    Examples
    --------
    >>> import numpy as np
    >>> import lowdose
    >>> body = np.full((1, 96, 96), 40.0)
    >>> noise = np.random.default_rng(0).standard_normal(body.shape)
    >>> report = lowdose.evaluate(body + 40 * noise, body, spacing=(3.0, 0.7, 0.7), model="gaussian")
    >>> [row["image"] for row in report.table()]
    ['low dose', 'gaussian']
    """
    check_numbers(strength=strength, dose=dose, noise_sd=noise_sd)
    run_network_file(network_file)
    target = NoiseTarget(dose, noise_sd, texture)
    pipeline.check_strength(strength)
    sizes = stated_sizes(pixel, thickness)
    given = _Given(
        _listed(low), _listed(full), data, spacing, sizes, _listed(model), strength, target, device, progress
    )
    folder = None if out is None else path_of(out, "out")
    for item in (*given.low, *given.full, *_listed(data), *_listed(labels)):
        check_given(item)
    if task == "images":
        _refuse(task, "organs", {"--segmenter": segmenter, "--labels": labels})
        guided = _word_reader(words, autoencoder, device)
        return _evaluate_images(given, folder, _profile(profile or "default", window), guided)
    if task == "organs":
        images_only = {"--profile": profile, "--window": window, "--words": words, "--autoencoder": autoencoder}
        _refuse(task, "images", images_only)
        return _evaluate_organs(given, folder, segmenter, _listed(labels))
    raise InvalidSetting(f"--task {task}: choose one of {', '.join(TASKS)}")


@dataclass(frozen=True)
class _Given:
    """What both tasks are given."""

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
        """Load each model once; the shipped default where none is named."""
        where = choose_device(self.device)
        named = dict.fromkeys(model if isinstance(model, LoadedModel) else str(model) for model in self.models)
        return [
            model if isinstance(model, LoadedModel) else load_by_name(model, where)
            for model in named or {DEFAULT_MODEL: None}
        ]


def _evaluate_images(
    given: _Given, out: Path | None, profile: Profile, guided: LanguageGuidedAutoencoder | None
) -> EvaluationReport:
    loaded = given.load_models()
    with ExitStack() as stack:
        folder = _new_folder(stack, out)
        cases = open_cases(stack, given.low, given.full, given.data, given.spacing, given.sizes)
        count = sum(len(case.pairs) for case in cases)
        result = images.evaluate_images(
            cases, loaded, profile, given.strength, lambda done: given.progress(done, count), given.target
        )
        readings = _read_words(guided, result) if guided else []
        drifted = [f"{reading.case}, {line}" for reading in readings for line in words_report.drift_warnings(reading)]
        result.warnings = log_warnings(cases, [*pair_warnings(cases), *result.warnings, *drifted])
        files = {
            "table.csv": summary.table_csv(result),
            "summary.json": summary.as_json(result, uids_of(cases)),
            "index.html": images_report.page(result, readings),
        }
        if guided:
            entries = [words_report.word_entry(reading) for reading in readings]
            files["words.json"] = words_report.words_json(guided, entries, drifted)
        return _written(EvaluationReport("images", result, count, len(cases), files, readings), folder)


def _evaluate_organs(given: _Given, out: Path | None, segmenter: str | None, labels: list[Any]) -> EvaluationReport:
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


def _new_folder(stack: ExitStack, out: Path | None) -> Path | None:
    """Refuse a folder that cannot be made before any work is done; it appears when ``stack`` closes without error."""
    return None if out is None else stack.enter_context(new_folder(out))


def _written(report: EvaluationReport, folder: Path | None) -> EvaluationReport:
    if folder is not None:
        report.write_files(folder)
    return report


def _listed(given: Any) -> list[Any]:
    """Return one thing or a sequence of them as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _refuse(task: str, other: str, options: Mapping[str, object]) -> None:
    """Raise InvalidSetting for options that belong to the other task."""
    names = [name for name, value in options.items() if value is not None and value is not False and value != []]
    if names:
        raise InvalidSetting(
            f"{', '.join(names)}: is not an option of --task {task}; leave it out, or take --task {other}"
        )


def _word_reader(words: bool, autoencoder: str | PathLike[str] | None, device: str) -> LanguageGuidedAutoencoder | None:
    if autoencoder is not None and not words:
        raise InvalidSetting(f"--autoencoder {autoencoder}: needs --words; add it, or leave this out")
    return load_word_autoencoder(autoencoder, choose_device(device)) if words else None


def _profile(name: str, window: tuple[float, float] | None) -> Profile:
    if name not in PROFILES:
        raise InvalidSetting(f"--profile {name}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name] if window is None else PROFILES[name].with_window(Window(*window))


def _read_words(guided: LanguageGuidedAutoencoder, result: ImageEvaluation) -> list[WordReading]:
    """Read the slice shown of each series in every version."""
    made = result.images[1:-1]
    return [read_words(guided, sample.images, SliceLocation.of(sample), made) for sample in result.samples]
