"""``lowdose denoise --explain``: the words of some slices, read while they pass by on their way into the output."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lowdose.evaluation.words import WordReading
    from lowdose.image import HU, Slice
    from lowdose.io.source import Sink
    from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
    from lowdose.models.load import LoadedModel

INPUT = "input"


def explaining(wanted: bool, autoencoder: str | None, slices: int, model: LoadedModel) -> Words | None:
    """What reads along, or None. Raises InvalidSetting for settings of --explain without it, and what it cannot use."""
    from lowdose.cli.explain_command import check_slices, ready_autoencoder
    from lowdose.errors import InvalidSetting

    check_slices(slices)
    if not wanted:
        if autoencoder is not None:
            raise InvalidSetting(f"--autoencoder {autoencoder}: of use with --explain only; add it, or leave this out")
        return None
    return Words(ready_autoencoder(autoencoder, model.device), model.name if model.name != INPUT else "model", slices)


@dataclass
class Words:
    """Reads ``slices`` of the slices (0: all). Of each it keeps the words; of one, the most drifted, the picture."""

    guided: LanguageGuidedAutoencoder
    model: str
    slices: int
    warnings: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    shown: WordReading | None = None

    def watch(self, sink: Sink, count: int) -> Sink:
        """``sink`` for a series of ``count`` slices, and the words of some of them."""
        from lowdose.evaluation import words

        chosen = words.evenly_spread(count, self.slices)
        return _Watched(sink, self, frozenset(chosen), chosen[len(chosen) // 2])

    def take(self, index: int, original: Slice, hu: HU, middle: bool) -> None:
        """One slice before and after."""
        from lowdose.evaluation import words
        from lowdose.report import words as report

        place = words.SliceLocation("", index, original.position, original.pixel_mm, original.aspect)
        images = {INPUT: original.hu, self.model: hu}
        reading = words.read_words(self.guided, images, place, made=[self.model], valid=original.valid)
        self.entries.append(report.word_entry(reading))
        self.warnings += report.drift_warnings(reading)
        flagged = 0 if self.shown is None else self.shown.flagged
        if self.shown is None or reading.flagged > flagged or (middle and not flagged):
            self.shown = reading

    def files(self, uids: dict[str, object]) -> dict[str, bytes]:
        """Name -> content of what goes with the output."""
        from lowdose.hounsfield import SOFT_TISSUE
        from lowdose.report import overlay
        from lowdose.report import words as report

        found = {"words.json": report.words_json(self.guided, self.entries, self.warnings, uids).encode()}
        if self.shown is not None:
            found["words.png"] = overlay.side_by_side(self.shown, SOFT_TISSUE)
        return found


class _Watched:
    """A sink that shows some slices to ``words`` before it hands them on."""

    def __init__(self, sink: Sink, words: Words, chosen: frozenset[int], middle: int) -> None:
        self._sink, self._words, self._chosen, self._middle, self._next = sink, words, chosen, middle, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # whoever opened the sink closes it

    def write(self, original: Slice, hu: HU) -> None:
        if self._next in self._chosen:
            self._words.take(self._next, original, hu, self._next == self._middle)
        self._next += 1
        self._sink.write(original, hu)

    def attach(self, name: str, data: bytes) -> None:
        self._sink.attach(name, data)
