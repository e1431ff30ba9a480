"""One slice in every version, read as words: what each says, and whether it drifted from what the input says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from lowdose.evaluation.images import SampleSlice
from lowdose.image import AIR, HU, Mask
from lowdose.language import drift, explanation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.drift import Drift
from lowdose.language.explanation import Explanation
from lowdose.language.relevance import Relevance


@dataclass(frozen=True, eq=False)
class WordReading:
    """images, words: by the name of the version, in the order they were given. drifts: of versions made from the first.

    index: of the slice in its series; None where it is not known. aspect: height of a pixel over its width.
    """

    case: str
    index: int | None
    position: float | None
    aspect: float
    images: dict[str, HU]
    words: dict[str, Explanation]
    drifts: dict[str, Drift]

    @property
    def first(self) -> str:
        """The version that the others are compared with."""
        return next(iter(self.images))

    @property
    def flagged(self) -> int:
        """Regions of all versions that drifted away."""
        return sum(int(found.flagged.sum()) for found in self.drifts.values())


@dataclass(frozen=True)
class SliceLocation:
    """Whose slice it is and where: what a ``WordReading`` is named by. pixel_mm: (down the rows, along the columns)."""

    case: str = ""
    index: int | None = None
    position: float | None = None
    pixel_mm: tuple[float, float] | None = None
    aspect: float = 1.0

    @staticmethod
    def of(sample: SampleSlice) -> SliceLocation:
        """Of a slice that an evaluation shows, which keeps neither its index in the series nor its pixel size.

        Nor does it keep what is padding: that is read as the scanner stored it, often as air, not always.
        """
        return SliceLocation(sample.case, None, sample.position, None, sample.aspect)


def read_words(
    guided: LanguageGuidedAutoencoder,
    images: dict[str, HU],
    place: SliceLocation,
    made: Collection[str] = (),
    valid: Mask | None = None,
    relevance: Relevance | None = None,
) -> WordReading:
    """images: version -> (y, x) HU of one slice, its input first. made: versions a model made of the input: those are
    searched for drift. valid: (y, x), air stands where it is False. relevance: scores every word if given.
    """
    shown = {name: hu if valid is None else np.where(valid, hu, AIR) for name, hu in images.items()}
    words = {name: explanation.explain_slice(guided, hu, place.pixel_mm, relevance) for name, hu in shown.items()}
    first = next(iter(shown))
    drifts = {name: drift.measure_drift(words[first], words[name]) for name in made}
    return WordReading(place.case, place.index, place.position, place.aspect, shown, words, drifts)


def evenly_spread(count: int, most: int) -> list[int]:
    """Up to ``most`` of ``count`` slices, evenly spread, none at the very ends if it can be helped; 0 = all."""
    if most == 0 or most >= count:
        return list(range(count))
    return [int((number + 0.5) * count / most) for number in range(most)]
