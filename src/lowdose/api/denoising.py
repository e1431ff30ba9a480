"""Denoise one series: the function behind ``lowdose denoise`` and the archive workers."""

from __future__ import annotations

import logging
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.api.checks import MAX_SLICES, check_numbers, check_slices, check_whole_numbers, path_of
from lowdose.api.denoised_series import MANIFEST, PREVIEW, WORD_FILES, DenoisedSeries
from lowdose.api.messages import Progress, counting_on, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, resolve_model, stated_sizes
from lowdose.api.saving import MemorySink, SeriesFiles, SeriesInMemory, sink_for
from lowdose.errors import OutsideTrainingRange
from lowdose.infer import pipeline
from lowdose.infer.engines.base import EXACT
from lowdose.infer.engines.select_engine import AUTO
from lowdose.infer.pipeline import SeriesResult
from lowdose.infer.series_setup import SeriesSetup, build_manifest, set_up_stacks
from lowdose.io.open_series import check_output
from lowdose.io.source import Rescale, SliceSink, Source
from lowdose.io.write_volume import refuse_taken
from lowdose.logger import log, log_lines
from lowdose.models.load import LoadedModel
from lowdose.models.noise_retention import NoiseTarget, check_target

if TYPE_CHECKING:
    from lowdose.api.words_of_series import WordsOfSeries


def denoise(
    source: Input,
    out: str | PathLike[str] | None = None,
    *,
    model: str | PathLike[str] | LoadedModel | None = None,
    strength: float = 1.0,
    dose: float | None = None,
    noise_sd: float | None = None,
    texture: str | None = None,
    network_file: str | PathLike[str] | None = None,
    steps: int | None = None,
    depth: int | None = None,
    device: str = "auto",
    engine: str = AUTO,
    accuracy: str = EXACT,
    jobs: int = 1,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    strict: bool = False,
    rescale: Rescale | None = None,
    preview: bool = False,
    manifest: bool = False,
    explain: bool = False,
    autoencoder: str | PathLike[str] | None = None,
    explain_slices: int = MAX_SLICES,
    vocabulary: str | None = None,
    progress: Progress = no_progress,
) -> DenoisedSeries:
    """Denoise one CT series.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        A folder or a file, see `read`; a volume, or an array of HU.
    out : str or Path, optional
        Where to write the result: a new folder for DICOM, else a new file. Slices are then written as they are
        denoised, so that memory does not grow with the series. Left out, the result stays in memory.
    model : str, Path or LoadedModel, optional
        Name of a model, a .safetensors file, or what `load_model` gives; the shipped default if left out.
    network_file : str or Path, optional
        Python file that registers the network of ``model``, where that is the user's own; it is executed.
    steps, depth : int, optional
        Sampling steps, or depth of an unrolled network, for models that declare them.
    strength : float
        Blend: 0 is the input bit for bit, 1 the model's full output.
    dose : float, optional
        Dose of this scan as a fraction of its usual dose, above 0 and at most 1; estimated from the noise if left out.
    noise_sd : float, optional
        SD in HU of the noise that shall remain, instead of dose and texture.
    texture : {"smooth", "balanced", "natural"}, optional
        How much noise remains: for the lowest error; the default; the SD of a scan at usual dose.
    device, engine, accuracy
        See `load_model`; of no effect for a model that is loaded already.
    jobs : int
        Slices at a time, each by its share of the processor's cores.
    series : str, optional
        SeriesInstanceUID, or its end, where a folder holds several series.
    spacing : tuple of float, optional
        (z, y, x) in mm, for arrays only.
    pixel, thickness : float, optional
        Pixel size and slice thickness in mm, where the input states none, see `read`.
    strict : bool
        Refuse a series that lies outside the range the model was trained on (noise, pixel size, slice thickness,
        orientation), instead of a warning.
    rescale : tuple of 2 floats, optional
        Slope and intercept in HU, for DICOM whose headers do not state them.
    preview, manifest : bool
        With ``out``: also write a PNG of the middle slice, and a manifest of the run as JSON.
    explain : bool
        Also read the words of some slices before and after, and where they drifted apart.
    autoencoder : str or Path, optional
        For ``explain``: a shipped autoencoder or a .safetensors file.
    explain_slices : int
        For ``explain``: slices to read, evenly spread; 0 = all.
    vocabulary : {"shown", "all"}, optional
        For ``explain``: which words are shown, see `explain`.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    DenoisedSeries
        Has the ``volume``, can be saved, shown in a notebook, and turned into a dict (the manifest).

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`: input that is no CT in HU, a model that does not exist, an output that exists.

    Examples
    --------
    >>> import numpy as np
    >>> import lowdose
    >>> noisy = 40 + 20 * np.random.default_rng(0).standard_normal((2, 64, 64))
    >>> result = lowdose.denoise(noisy, spacing=(3.0, 0.7, 0.7), model="gaussian")
    >>> bool(result.volume.hu.std() < noisy.std())
    True
    """
    started = time.perf_counter()
    check_numbers(strength=strength, dose=dose, noise_sd=noise_sd)
    check_whole_numbers(jobs=jobs, explain_slices=explain_slices)
    pipeline.check_jobs(jobs)
    pipeline.check_strength(strength)
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    path, companions = None if out is None else path_of(out, "out"), _companions(preview, manifest, explain)
    if path is not None:
        refuse_taken(path, companions)
    target = NoiseTarget(dose, noise_sd, texture)
    loaded = resolve_model(model, device, engine, accuracy, network_file, steps=steps, depth=depth)
    check_target(target, loaded)
    words = _reader_of_words(explain, autoencoder, explain_slices, vocabulary, loaded)
    name = loaded.name if model is not None else f"{loaded.name} (the shipped default)"
    log.info("model %s on %s (%s, %s), strength %g", name, loaded.device, loaded.engine, loaded.accuracy, strength)
    with open_input(source, series, spacing, sizes, rescale) as opened:
        if path is not None:
            check_output(opened, path, companions)
        log_lines(logging.INFO, opened.skipped, "skipped: ")
        setup = set_up_stacks(opened, loaded, strength, target)
        if strict and setup.outside:
            raise OutsideTrainingRange(f"{opened.path}: refused by --strict: {'; '.join(setup.outside)}")
        log_lines(logging.WARNING, setup.warnings)
        log_lines(logging.INFO, setup.noise_lines)
        with sink_for(opened, path, setup.provenance) as sink:
            through = words.read_along(sink, len(opened)) if words else sink
            result = denoise_stacks(opened, through, setup, jobs, progress)
            kept = sink.series(source, series, setup.provenance) if isinstance(sink, MemorySink) else None
            done = _describe(opened, setup, result, words, started, path, kept)
            if kept is None:
                for file, data in done.files(preview=preview, manifest=manifest).items():
                    sink.attach(file, data)
    if path is not None and kept is not None:
        kept.save(path, done.files(preview=preview, manifest=manifest))
    return done


def _reader_of_words(
    explain: bool, autoencoder: str | PathLike[str] | None, slices: int, vocabulary: str | None, model: LoadedModel
) -> WordsOfSeries | None:
    check_slices(slices)
    if not explain and autoencoder is None and vocabulary is None:
        return None
    from lowdose.api.words_of_series import reader_of  # a tenth of a second, for an option that few use

    return reader_of(explain, autoencoder, slices, vocabulary, model)


def _companions(preview: bool, manifest: bool, explain: bool) -> list[str]:
    """Return the names of the files that go with the series."""
    return [*[PREVIEW] * preview, *[MANIFEST] * manifest, *WORD_FILES * explain]


def denoise_stacks(source: Source, sink: SliceSink, setup: SeriesSetup, jobs: int, progress: Progress) -> SeriesResult:
    """Denoise every stack of a series as it was set up, into one sink."""
    count, total = len(source), SeriesResult()
    for part, own in setup.stacks or ((source, setup),):
        result = pipeline.denoise_series(
            part, sink, own.model, own.strength, counting_on(progress, total.slices, count), jobs, own.known
        )
        total.add(result)
    return total


def _describe(
    source: Source,
    setup: SeriesSetup,
    result: SeriesResult,
    words: WordsOfSeries | None,
    started: float,
    path: Path | None,
    kept: SeriesInMemory | None,
) -> DenoisedSeries:
    warnings = list(setup.warnings)
    if words:
        warnings += words.warnings
        log_lines(logging.WARNING, words.warnings)
    record = build_manifest(source, setup, result, warnings, time.perf_counter() - started)
    middle = (result.before, result.after) if result.before is not None and result.after is not None else None
    files: SeriesFiles = words.files(source.uids) if words else {}
    return DenoisedSeries(setup.model.name, result.slices, tuple(warnings), path, record, middle, kept, files)
