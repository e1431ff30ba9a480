"""Words of slices as a section of an HTML page, or as an HTML page of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.io.messages import counted
from lowdose.language import presentation, word_counts
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.cell_words import LEAST_BODY
from lowdose.language.explanation import WORD_LAYERS, Explanation
from lowdose.report import overlay
from lowdose.report.words import DEFINITIONS, changes, compared, named, where_of
from lowdose.version import __version__

MAX_WORDS = 15
"""Number of the most frequent words of a layer that are shown of each version."""

LEAD = (
    "The words say roughly what a region shows, and where a denoised image reads differently from its input; they are "
    "no findings and can be wrong, and where nothing is marked something too faint or too small for the autoencoder "
    "may have changed all the same."
)
"""What the page can tell and what it cannot."""

UNFILTERED = (
    "For research: the nearest word of the whole vocabulary for every region, none chosen or left out by topic. Names, "
    "brands and diagnoses among them say nothing of the patient."
)
"""What is said besides where all words are shown."""


def section(readings: Sequence[WordReading], window: Window) -> list[dict[str, Any]]:
    """Return the variables of the template 'words_section.html' for each reading."""
    return [
        {
            "case": reading.case,
            "slice": where_of(reading),
            "first": reading.first,
            "changes": [_change_table(reading, name) for name in reading.drifts],
            "pictures": [(name, data_url(overlay.words_of(reading, name, window))) for name in reading.images],
            "unnamed": _unnamed(reading),
            "compared": compared(reading),
            "counts": _frequent_words(reading),
        }
        for reading in readings
    ]


def lead(vocabulary: str) -> str:
    """Return what a page of words says first."""
    return f"{UNFILTERED} {LEAD}" if vocabulary == presentation.ALL else LEAD


def _unnamed(reading: WordReading) -> dict[str, int]:
    """Count the regions of layer 2 of the first version: all, with a word, and without one since they are air."""
    layer = reading.words[reading.first].layers[:WORD_LAYERS][-1]
    air = int((~layer.shown & (layer.body < LEAST_BODY)).sum())
    return {"regions": layer.tokens.size, "named": int(layer.shown.sum()), "air": air}


def _frequent_words(reading: WordReading) -> dict[str, Any]:
    """Return the most frequent words of each version side by side, layer 1 first."""
    columns = {}
    for name, explained in reading.words.items():
        counts = word_counts.frequencies([explained])
        columns[name] = [[count for count in counts if count.layer == number][:MAX_WORDS] for number in (1, 2)]
    layers = [
        [
            [column[layer][row] if row < len(column[layer]) else None for column in columns.values()]
            for row in range(row_count)
        ]
        for layer in (0, 1)
        for row_count in [max(len(column[layer]) for column in columns.values())]
    ]
    return {"names": list(columns), "layers": layers}


def _change_table(reading: WordReading, name: str) -> dict[str, Any]:
    """Return the table of the changed regions of a version: those that have a letter."""
    rows, drifted = changes(reading, name), reading.drifts[name]
    marked = [row for row in rows if row["mark"]]
    other = sum(row["before"] != row["after"] for row in rows)
    return {
        "name": name,
        "rows": marked,
        "more": len(rows) - len(marked),
        "flagged": int(drifted.flagged.sum()),
        "other": sum(not row["flagged"] for row in rows),
        "same_structure": max(0, int(drifted.moved.sum()) - other),
        "regions": drifted.score.size,
        "usual": f"{drifted.usual:.2f}",
        "limit": f"{drifted.limit:.2f}",
        "has_full": FULL in reading.words,
    }


def page(
    guided: LanguageGuidedAutoencoder,
    readings: Sequence[WordReading],
    said: dict[str, list[Explanation]],
    window: Window,
    slices: tuple[int, int],
    warnings: Sequence[str],
    vocabulary: str = presentation.SHOWN,
) -> str:
    """Return a self-contained HTML page of words.

    ``readings`` are the slices that are shown, with the words of ``vocabulary``. ``said`` maps each version to the
    explanations of all slices that were read, whose words are counted; it may be empty. ``slices``: how many were read,
    and how many the series has.
    """
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    return environment.get_template("words.html").render(
        version=__version__,
        lead=lead(vocabulary),
        words=section(readings, window),
        counts={
            name: [
                [count for count in word_counts.frequencies(explanations) if count.layer == number] for number in (1, 2)
            ]
            for name, explanations in said.items()
        },
        read=slices[0],
        slices=counted(slices[1], "slice"),
        autoencoder={"name": named(guided), "sha256": guided.sha256},
        definitions=DEFINITIONS,
        warnings=warnings,
    )
