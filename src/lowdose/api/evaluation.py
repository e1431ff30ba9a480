"""Measure low dose and models against full dose: the function behind ``lowdose evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from lowdose.api.checks import check_numbers, free_folder, path_of
from lowdose.api.evaluation_report import EvaluationReport
from lowdose.api.evaluation_tasks import (
    Given,
    evaluate_images,
    evaluate_lesions,
    evaluate_organs,
    evaluate_teacher,
)
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, run_network_file, stated_sizes
from lowdose.api.words_of_series import load_word_autoencoder
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Window
from lowdose.infer import pipeline
from lowdose.language import autoencoder_file
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.presentation import SHOWN, check_vocabulary
from lowdose.metrics.profiles import PROFILES, Profile
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget

TASKS = ("images", "organs", "lesions", "teacher")
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
    detector: str | PathLike[str] | None = None,
    findings: str | PathLike[str] | None = None,
    lesions: int | None = None,
    seed: int | None = None,
    words: bool = False,
    autoencoder: str | PathLike[str] | None = None,
    vocabulary: str | None = None,
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
        New folder for table.csv, summary.json and index.html, or teacher.json; ``save`` of the result writes the same.
    data : str or Path, optional
        Instead of low and full: a folder in which pairs of folders are looked for.
    task : {"images", "organs", "lesions", "teacher"}
        "images": RMSE, PSNR, SSIM, FSIM, VIF, noise, HU of every tissue. "organs": what a segmenter finds of every
        organ of what it finds at full dose, or of ``labels``; then ``full`` may go without ``low``. "lesions": how well
        lesions are found, and how they look. "teacher": what an ``autoencoder`` sees of the texture of noise
        in slices of ``full``, and how right its words are.
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
    detector : str or Path, optional
        For lesions: run folder of ``lowdose train lidnet``, or a detector.safetensors; without it, nothing is measured
        of how well lesions are found.
    findings : str or Path, optional
        For lesions: file or folder of findings that the patients have, instead of inserted lesions.
    lesions, seed : int, optional
        For inserted lesions: draws for each slice, 1 if left out, and the seed that they depend on, 0 if left out.
    words : bool
        For images: also read the words of the slices shown, and where they drifted apart.
    autoencoder : str or Path, optional
        For words and for teacher: a shipped autoencoder or a .safetensors file. By default the one whose drift is
        measured for words, and the one that ``train leda`` learns from for teacher.
    vocabulary : {"shown", "all"}, optional
        For words: which of them are shown, see `lowdose.explain`.
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
    check_vocabulary(vocabulary or SHOWN)
    sizes = stated_sizes(pixel, thickness)
    given = Given(_listed(low), _listed(full), data, spacing, sizes, _listed(model), strength, target, device, progress)
    for item in (*given.low, *given.full, *_listed(data), *_listed(labels), *_listed(findings)):
        check_given(item)
    folder = free_folder(out)
    of_images = {"--profile": profile, "--window": window, "--words": words, "--vocabulary": vocabulary}
    of_organs = {"--segmenter": segmenter, "--labels": labels}
    drawing = {"--lesions": lesions, "--seed": seed}
    of_lesions = {"--detector": detector, "--findings": findings, **drawing}
    if task == "teacher":
        _refuse(task, "images, organs or lesions", {**of_organs, **of_images, **of_lesions, "--model": given.models})
        name = str(autoencoder or autoencoder_file.TEACHER)
        return evaluate_teacher(given, folder, autoencoder_file.load_autoencoder(name, choose_device(device)))
    if task == "images":
        _refuse(task, "organs", of_organs)
        _refuse(task, "lesions", of_lesions)
        guided = _word_reader(words, autoencoder, vocabulary, device)
        return evaluate_images(given, folder, _profile(profile or "default", window), guided, vocabulary or SHOWN)
    if task == "organs":
        _refuse(task, "images", {**of_images, "--autoencoder": autoencoder})
        _refuse(task, "lesions", of_lesions)
        return evaluate_organs(given, folder, segmenter, _listed(labels))
    if task == "lesions":
        _refuse(task, "images or organs", {**of_images, "--autoencoder": autoencoder, **of_organs})
        if findings is not None:
            _refuse("lesions with --findings", "lesions without it", drawing)
        draws, number = _whole("--lesions", lesions, 1, 1), _whole("--seed", seed, 0, 0)
        where = None if findings is None else path_of(findings, "findings")
        looking = None if detector is None else path_of(detector, "detector")
        return evaluate_lesions(given, folder, looking, where, draws, number)
    raise InvalidSetting(f"--task {task}: choose one of {', '.join(TASKS)}")


def _listed(given: Any) -> list[Any]:
    """Return one thing or a sequence of them as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _whole(option: str, value: int | None, usual: int, least: int) -> int:
    """Return a whole number, or what is usual where none is given."""
    if value is not None and (value != int(value) or value < least):
        raise InvalidSetting(f"{option} {value}: must be a whole number of at least {least}")
    return usual if value is None else int(value)


def _refuse(task: str, other: str, options: Mapping[str, object]) -> None:
    """Raise InvalidSetting for options that belong to the other task."""
    names = [name for name, value in options.items() if value is not None and value is not False and value != []]
    if names:
        raise InvalidSetting(
            f"{', '.join(names)}: is not an option of --task {task}; leave it out, or take --task {other}"
        )


def _word_reader(
    words: bool, autoencoder: str | PathLike[str] | None, vocabulary: str | None, device: str
) -> LanguageGuidedAutoencoder | None:
    for name, value in {"--autoencoder": autoencoder, "--vocabulary": vocabulary}.items():
        if value is not None and not words:
            raise InvalidSetting(f"{name} {value}: needs --words; add it, or leave this out")
    return load_word_autoencoder(autoencoder, choose_device(device)) if words else None


def _profile(name: str, window: tuple[float, float] | None) -> Profile:
    if name not in PROFILES:
        raise InvalidSetting(f"--profile {name}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name] if window is None else PROFILES[name].with_window(Window(*window))
