"""What is shown of an explanation: by default, words of anatomy and imaging that are certain, in the body."""

from __future__ import annotations

from dataclasses import replace

from lowdose.errors import InvalidSetting
from lowdose.language.cell_words import LEAST_BODY
from lowdose.language.explanation import NO_WORD, ExplainedLayer, Explanation
from lowdose.language.spelling import bare

SHOWN, ALL = "shown", "all"
VOCABULARIES = (SHOWN, ALL)
"""Words that can be shown: those of ``shown_words`` where they hold, or the nearest word of the whole vocabulary."""


def check_vocabulary(vocabulary: str) -> None:
    """Raise InvalidSetting for what is none of ``VOCABULARIES``."""
    if vocabulary not in VOCABULARIES:
        raise InvalidSetting(f"--vocabulary {vocabulary}: choose one of {', '.join(VOCABULARIES)}")


def present(explanation: Explanation, vocabulary: str) -> Explanation:
    """Return the explanation with the words of ``vocabulary``.

    "all" leaves it as it is. With "shown" a position has ``NO_WORD`` where its nearest word is none of
    ``shown_words``, where less than ``LEAST_BODY`` of its region is body, where the HU of the region do not allow the
    word (``tissue``), and where its certainty is below ``WordLimits.certainty``. Tokens and everything measured stay.
    Raises InvalidSetting for another vocabulary.
    """
    check_vocabulary(vocabulary)
    if vocabulary == ALL:
        return explanation
    least = explanation.limits.certainty
    return replace(explanation, layers=tuple(_only_shown(layer, least) for layer in explanation.layers))


def _only_shown(layer: ExplainedLayer, least_certainty: float) -> ExplainedLayer:
    holds = layer.plausible & (layer.body >= LEAST_BODY) & (layer.certainty >= least_certainty)
    words = tuple(
        tuple(bare(word).lower() if held else NO_WORD for word, held in zip(line, held_line, strict=True))
        for line, held_line in zip(layer.words, holds, strict=True)
    )
    return replace(layer, words=words)
