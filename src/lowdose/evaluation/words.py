"""Words that a language-guided autoencoder reads in each version of a slice, and their drift from the input's words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from lowdose.evaluation.images import SampleSlice
from lowdose.image import AIR, HU, Mask
from lowdose.language import drift, explanation, presentation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.drift import Drift
from lowdose.language.explanation import Explanation
from lowdose.language.relevance import Relevance


@dataclass(frozen=True, eq=False)
class WordReading:
    """Words of one slice in several versions.

    Attributes
    ----------
    case : str
        Name of the case.
    index : int or None
        Index of the slice in its series; None if unknown.
    position : float or None, mm
        Position of the slice.
    aspect : float
        Height of a pixel over its width.
    images : dict of str to array, HU
        Each version (y, x), by name, in the order in which they were read.
    words : dict of str to Explanation
        Words of each version.
    drifts : dict of str to Drift
        Drift from the first version, of the versions that a model made from it.
    vocabulary : {"shown", "all"}
        Which words are shown (``presentation.present``).
    """

    case: str
    index: int | None
    position: float | None
    aspect: float
    images: dict[str, HU]
    words: dict[str, Explanation]
    drifts: dict[str, Drift]
    vocabulary: str = presentation.SHOWN

    @property
    def first(self) -> str:
        """Name of the version that the others are compared with."""
        return next(iter(self.images))

    @property
    def flagged(self) -> int:
        """Number of regions, over all versions, whose drift is flagged."""
        return sum(int(drifted.flagged.sum()) for drifted in self.drifts.values())


@dataclass(frozen=True)
class SliceLocation:
    """Case and position of a slice, by which a ``WordReading`` is identified.

    Attributes
    ----------
    case : str
        Name of the case.
    index : int or None
        Index of the slice in its series; None if unknown.
    position : float or None, mm
        Position of the slice.
    pixel_mm : (float, float) or None, mm
        Distance of the rows and of the columns.
    aspect : float
        Height of a pixel over its width.
    """

    case: str = ""
    index: int | None = None
    position: float | None = None
    pixel_mm: tuple[float, float] | None = None
    aspect: float = 1.0

    @staticmethod
    def of(sample: SampleSlice) -> SliceLocation:
        """Return the location of a sample slice of an evaluation.

        A sample slice keeps neither its index in the series, nor its pixel size, nor the mask of its padding: padding
        is read with the values that the scanner stored, which often are those of air, but not always.
        """
        return SliceLocation(sample.case, None, sample.position, None, sample.aspect)


def read_words(
    guided: LanguageGuidedAutoencoder,
    images: dict[str, HU],
    place: SliceLocation,
    made: Collection[str] = (),
    valid: Mask | None = None,
    relevance: Relevance | None = None,
    vocabulary: str = presentation.SHOWN,
) -> WordReading:
    """Read the words of one slice in several versions.

    ``images`` maps each version, the input first, to its pixels (y, x) in HU. ``place`` identifies the slice. ``made``
    names the versions that a model made from the input, which are searched for drift. Where ``valid`` (y, x) is False
    the pixels are replaced by air. ``relevance``, if given, scores every word. ``vocabulary`` says which words are
    shown; raises InvalidSetting for an unknown one.
    """
    masked = {name: hu if valid is None else np.where(valid, hu, AIR) for name, hu in images.items()}
    words = {
        name: presentation.present(explanation.explain_slice(guided, hu, place.pixel_mm, relevance), vocabulary)
        for name, hu in masked.items()
    }
    first = next(iter(masked))
    drifts = {name: drift.measure_drift(words[first], words[name]) for name in made}
    return WordReading(place.case, place.index, place.position, place.aspect, masked, words, drifts, vocabulary)


def evenly_spread(count: int, most: int) -> list[int]:
    """Return the indices of up to ``most`` of ``count`` slices, evenly spaced and away from the ends; 0 for all."""
    if most == 0 or most >= count:
        return list(range(count))
    return [int((number + 0.5) * count / most) for number in range(most)]
