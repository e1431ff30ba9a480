"""Words of slices as a section of an HTML page, or as an HTML page of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.language import drift, explanation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.explanation import Explanation
from lowdose.report import overlay
from lowdose.report.words import DEFINITIONS, changes, compared, named, where_of
from lowdose.version import __version__

MAX_CHANGES, MAX_WORDS = 14, 15
"""Numbers of changed regions, and of the most frequent words of a layer, that are shown of each version."""


def section(readings: Sequence[WordReading], window: Window) -> list[dict[str, Any]]:
    """Return the variables of the template 'words_section.html' for each reading."""
    return [
        {
            "case": reading.case,
            "slice": where_of(reading),
            "pictures": [(name, data_url(overlay.words_of(reading, name, window))) for name in reading.images],
            "compared": compared(reading),
            "counts": _frequent_words(reading),
            "changes": [_change_table(reading, name) for name in reading.drifts],
        }
        for reading in readings
    ]


def _frequent_words(reading: WordReading) -> dict[str, Any]:
    """Return the most frequent words of each version side by side, layer 1 first."""
    columns = {}
    for name, explained in reading.words.items():
        counts = explanation.frequencies([explained])
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
    """Return the table of the changed regions of a version, shortened to ``MAX_CHANGES`` rows."""
    rows, drifted = changes(reading, name), reading.drifts[name]
    return {
        "name": name,
        "rows": rows[:MAX_CHANGES],
        "more": max(0, len(rows) - MAX_CHANGES),
        "flagged": int(drifted.flagged.sum()),
        "regions": drifted.score.size,
        "usual": f"{drifted.usual:.2f}",
        "limit": f"{drift.drift_limit(drifted.usual):.2f}",
        "has_full": FULL in reading.words,
    }


def page(
    guided: LanguageGuidedAutoencoder,
    readings: Sequence[WordReading],
    said: dict[str, list[Explanation]],
    window: Window,
    slices: int,
    warnings: Sequence[str],
) -> str:
    """Return a self-contained HTML page of words.

    ``readings`` are the slices that are shown. ``said`` maps each version to the explanations of all slices that were
    read, of the ``slices`` slices of the series.
    """
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    return environment.get_template("words.html").render(
        version=__version__,
        words=section(readings, window),
        counts={
            name: [
                [count for count in explanation.frequencies(explanations) if count.layer == number] for number in (1, 2)
            ]
            for name, explanations in said.items()
        },
        slices=slices,
        read=len(next(iter(said.values()))),
        autoencoder={"name": named(guided), "sha256": guided.sha256},
        definitions=DEFINITIONS,
        warnings=warnings,
    )
