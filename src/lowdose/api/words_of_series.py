"""The words of some slices of a series, read while the slices pass on their way into the output."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from types import TracebackType
from typing import Any, Self

import torch

from lowdose.api.denoised_series import PAGE, PICTURE, WORDS
from lowdose.errors import InvalidSetting
from lowdose.evaluation.words import SliceLocation, WordReading, evenly_spread, read_words
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Slice
from lowdose.io.source import Sink
from lowdose.language import autoencoder_file, explanation, presentation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.models.load import LoadedModel
from lowdose.report import overlay, words_page
from lowdose.report import words as words_report

INPUT = "input"


def load_word_autoencoder(name: str | PathLike[str] | None, device: torch.device) -> LanguageGuidedAutoencoder:
    """Load an autoencoder by name or path, the shipped one by default. Raises InvalidSetting for one without words."""
    loaded = autoencoder_file.load_autoencoder(str(name or autoencoder_file.DEFAULT), device)
    explanation.vocabulary_of(loaded)
    return loaded


def reader_of(
    explain: bool, autoencoder: str | PathLike[str] | None, slices: int, vocabulary: str | None, model: LoadedModel
) -> WordsOfSeries | None:
    """Return what reads the words of input and output, or None when they are not wanted.

    Raises InvalidSetting for an unknown vocabulary, and for an autoencoder without ``explain``.
    """
    presentation.check_vocabulary(vocabulary or presentation.SHOWN)
    if not explain:
        for option, value in {"--autoencoder": autoencoder, "--vocabulary": vocabulary}.items():
            if value is not None:
                raise InvalidSetting(f"{option} {value}: needs --explain; add it, or leave this out")
        return None
    name = model.name if model.name != INPUT else "model"
    return WordsOfSeries(
        load_word_autoencoder(autoencoder, model.device), name, slices, vocabulary or presentation.SHOWN
    )


@dataclass
class WordsOfSeries:
    """Words of up to ``slices`` slices (0: all) before and after; a picture and a page of the one that drifted most.

    ``series_slices`` becomes the number of slices of the series when ``read_along`` is called.
    """

    autoencoder: LanguageGuidedAutoencoder
    model: str
    slices: int
    vocabulary: str = presentation.SHOWN
    series_slices: int = 0
    warnings: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    shown: WordReading | None = None

    def read_along(self, sink: Sink, count: int) -> Sink:
        """Return ``sink`` for a series of ``count`` slices, with some of them read on the way."""
        self.series_slices = count
        chosen = evenly_spread(count, self.slices)
        return _WatchedSink(sink, self, frozenset(chosen), chosen[len(chosen) // 2])

    def take(self, index: int, original: Slice, hu: HU, middle: bool) -> None:
        """Read one slice before and after."""
        place = SliceLocation("", index, original.position, original.pixel_mm, original.aspect)
        images = {INPUT: original.hu, self.model: hu}
        reading = read_words(
            self.autoencoder, images, place, made=[self.model], valid=original.valid, vocabulary=self.vocabulary
        )
        self.entries.append(words_report.word_entry(reading))
        self.warnings += words_report.drift_warnings(reading)
        flagged = 0 if self.shown is None else self.shown.flagged
        if self.shown is None or reading.flagged > flagged or (middle and not flagged):
            self.shown = reading

    def files(self, uids: dict[str, object]) -> dict[str, bytes]:
        """Return the files that go with the output by name."""
        words = words_report.words_json(self.autoencoder, self.entries, self.warnings, uids, self.vocabulary)
        files = {WORDS: words.encode()}
        if self.shown is not None:
            files[PICTURE] = overlay.side_by_side(self.shown, SOFT_TISSUE)
            files[PAGE] = words_page.page(
                self.autoencoder, [self.shown], {}, SOFT_TISSUE, (len(self.entries), self.series_slices), self.warnings,
                self.vocabulary,
            ).encode()  # fmt: skip
        return files


class _WatchedSink:
    """A sink that shows some slices to ``words`` before it hands them on."""

    def __init__(self, sink: Sink, words: WordsOfSeries, chosen: frozenset[int], middle: int) -> None:
        self._sink, self._words, self._chosen, self._middle, self._next = sink, words, chosen, middle, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the sink to whoever opened it."""

    def write(self, original: Slice, hu: HU) -> None:
        if self._next in self._chosen:
            self._words.take(self._next, original, hu, self._next == self._middle)
        self._next += 1
        self._sink.write(original, hu)

    def attach(self, name: str, data: bytes) -> None:
        self._sink.attach(name, data)
