"""Explain slices in words: the function behind ``lowdose explain``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.checks import MAX_SLICES, check_slices, check_whole_numbers, free_folder, path_of
from lowdose.api.html import picture
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, stated_sizes
from lowdose.api.words_of_series import INPUT, load_word_autoencoder
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.evaluation.words import SliceLocation, WordReading, evenly_spread, read_words
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.io.atomic import new_folder
from lowdose.io.orientation import not_axial
from lowdose.io.source import Source
from lowdose.language import explanation, presentation, word_counts
from lowdose.language.autoencoder_file import TEACHER, LanguageGuidedAutoencoder
from lowdose.language.explanation import NO_WORD, Explanation
from lowdose.language.relevance import AnatomyRelevance
from lowdose.logger import log_lines
from lowdose.networks import anatomy
from lowdose.report import overlay, words_page
from lowdose.report import words as words_report

MAX_PICTURES = 4
MAX_WORDS = 8
"""Words of one layer that ``lines`` lists."""


@dataclass(frozen=True)
class ExplainedSeries:
    """Slices of a series as words.

    Attributes
    ----------
    slices : int
        Slices of the series, of which ``explanations`` holds some.
    layers : int
        Layers of the token pyramid that are listed.
    explanations : sequence of Explanation
        Words of each slice that was read, with the regions they stand for.
    warnings : tuple of str
        What is odd about the series.
    """

    slices: int
    layers: int
    explanations: Sequence[Explanation] = field(repr=False)
    warnings: tuple[str, ...]
    _autoencoder: LanguageGuidedAutoencoder = field(repr=False)
    _entries: list[dict[str, Any]] = field(repr=False)
    _shown: Sequence[WordReading] = field(repr=False)
    _uids: dict[str, object] = field(repr=False)
    _vocabulary: str = field(default=presentation.SHOWN, repr=False)

    def save(self, out: str | PathLike[str]) -> Path:
        """Write words.json, words.csv, index.html and a picture of some slices into a new folder.

        Raises OutputRefused when the folder exists or cannot be written.
        """
        with new_folder(path_of(out, "out")) as folder:
            self._write(folder)
        return Path(out)

    def _write(self, folder: Path) -> None:
        guided, said, warnings = self._autoencoder, {INPUT: list(self.explanations)}, list(self.warnings)
        for reading in self._shown:
            assert reading.index is not None
            (folder / f"words_{reading.index + 1:04d}.png").write_bytes(overlay.side_by_side(reading, SOFT_TISSUE))
        words = words_report.words_json(guided, self._entries, warnings, self._uids, self._vocabulary)
        (folder / "words.json").write_text(words)
        (folder / "words.csv").write_text(words_report.word_counts_csv(said, self.layers), encoding="utf-8")
        slices = len(self.explanations), self.slices
        page = words_page.page(guided, list(self._shown), said, SOFT_TISSUE, slices, warnings, self._vocabulary)
        (folder / "index.html").write_text(page, encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Return the words of every slice that was read, as words.json holds them, without UIDs."""
        return {"slices": self.slices, "read": self._entries, "warnings": list(self.warnings)}

    def lines(self) -> list[str]:
        """Return the most frequent words of layers 1 and 2, a line a layer."""
        return frequent_words({INPUT: list(self.explanations)})

    def _repr_html_(self) -> str:
        """Show one slice with its words, for notebooks."""
        caption = "; ".join(line.strip() for line in self.lines())
        shown = picture(overlay.side_by_side(self._shown[0], SOFT_TISSUE), "words on a slice") if self._shown else ""
        return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def explain(
    source: Input,
    out: str | PathLike[str] | None = None,
    *,
    autoencoder: str | PathLike[str] | None = None,
    slices: int = MAX_SLICES,
    layers: int = 2,
    vocabulary: str = presentation.SHOWN,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> ExplainedSeries:
    """Explain slices in words: a few for each quarter and region.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        See `read`.
    out : str or Path, optional
        New folder for words.json, words.csv, pictures and a page; ``save`` of the result writes the same.
    autoencoder : str or Path, optional
        A shipped autoencoder, "leda_teacher" by default, or a .safetensors file.
    slices : int
        Slices to read, evenly spread; 0 = all.
    layers : int
        Layers to list: 2 are regions, 3 adds a word for every cell.
    vocabulary : {"shown", "all"}
        "shown": words of anatomy, imaging and image quality, where they are certain; else "no word". "all": the nearest
        word of the autoencoder's whole vocabulary everywhere, for research.
    series, spacing, pixel, thickness
        See `read`.
    device : {"auto", "cpu", "cuda"}
        Where the networks run.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    ExplainedSeries
        Can be saved, shown in a notebook, and turned into a dict.

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.explain("SERIES").lines()  # doctest: +SKIP
    """
    check_whole_numbers(slices=slices, layers=layers)
    check_slices(slices)
    presentation.check_vocabulary(vocabulary)
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    target = free_folder(out)
    where = choose_device(device)
    guided = load_word_autoencoder(autoencoder or TEACHER, where)
    _check_layers(layers, guided)
    with open_input(source, series, spacing, sizes) as opened:
        opened.warnings += not_axial(opened.planes, "the words were learned on axial slices")
        log_lines(logging.INFO, opened.skipped, "skipped: ")
        log_lines(logging.WARNING, opened.warnings)
        if target is None:
            return _explain(opened, guided, slices, layers, vocabulary, progress)
        with new_folder(target) as folder:
            result = _explain(opened, guided, slices, layers, vocabulary, progress)
            result._write(folder)
            return result


def _explain(
    source: Source,
    guided: LanguageGuidedAutoencoder,
    slices: int,
    layers: int,
    vocabulary: str,
    progress: Progress,
) -> ExplainedSeries:
    relevance = _relevance(guided)
    chosen = evenly_spread(len(source), slices)
    shown = {chosen[place] for place in evenly_spread(len(chosen), MAX_PICTURES)}
    said: list[Explanation] = []
    readings: list[WordReading] = []
    entries = []
    for done, index in enumerate(chosen, start=1):
        item = source.read(index)
        place = SliceLocation("", index, item.position, item.pixel_mm, item.aspect)
        reading = read_words(
            guided, {INPUT: item.hu}, place, valid=item.valid, relevance=relevance, vocabulary=vocabulary
        )
        entries.append(words_report.word_entry(reading, layers))
        said.append(reading.words[INPUT])
        readings += [reading] if index in shown else []
        progress(done, len(chosen))
    return ExplainedSeries(
        len(source),
        layers,
        said,
        tuple(source.warnings),
        guided,
        entries,
        readings,
        dict(source.uids),
        vocabulary,
    )


def _check_layers(layers: int, guided: LanguageGuidedAutoencoder) -> None:
    most = len(guided.autoencoder.quantiser.parts)
    if not 1 <= layers <= most:
        raise InvalidSetting(f"--layers {layers}: this autoencoder has layers 1 to {most}")


def _relevance(guided: LanguageGuidedAutoencoder) -> AnatomyRelevance | None:
    """Return what scores the words; None where the vocabulary has none of the words that the shipped table knows."""
    device = next(guided.autoencoder.parameters()).device
    try:
        return AnatomyRelevance(anatomy.load_anatomy().to(device), explanation.vocabulary_of(guided))
    except InvalidSetting:
        return None


def frequent_words(said: dict[str, list[Explanation]], most: int = MAX_WORDS) -> list[str]:
    """List the most frequent words of layers 1 and 2 of every version, a line each."""
    lines = []
    for name, explanations in said.items():
        counts = word_counts.frequencies(explanations)
        for layer in (1, 2):
            words = [count.word for count in counts if count.layer == layer][:most]
            lines.append(f"{name:>16}  layer {layer}: {', '.join(words or [NO_WORD])}")
    return lines
