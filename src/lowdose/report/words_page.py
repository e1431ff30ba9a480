"""The words of slices as a section of an HTML page, or as a page of their own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

import lowdose
from lowdose.evaluation.images import FULL
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.language import drift, explanation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.explanation import Explanation
from lowdose.report import overlay
from lowdose.report.words import DEFINITIONS, changes, compared, named, where_of

MOST_ROWS, MOST_FREQUENT = 14, 15


def _embed(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def section(readings: Sequence[WordReading], window: Window) -> list[dict[str, Any]]:
    """What the template 'words_section.html' shows of each reading."""
    return [
        {
            "case": reading.case,
            "slice": where_of(reading),
            "pictures": [(name, _embed(overlay.words_of(reading, name, window))) for name in reading.images],
            "compared": compared(reading),
            "counts": _columns(reading),
            "changes": [_shown(reading, name) for name in reading.drifts],
        }
        for reading in readings
    ]


def _columns(reading: WordReading) -> dict[str, Any]:
    """The most frequent words of each version side by side, layer 1 first."""
    columns = {}
    for name, said in reading.words.items():
        found = explanation.frequencies([said])
        columns[name] = [[c for c in found if c.layer == number][:MOST_FREQUENT] for number in (1, 2)]
    layers = [
        [
            [column[layer][row] if row < len(column[layer]) else None for column in columns.values()]
            for row in range(most)
        ]
        for layer in (0, 1)
        for most in [max(len(column[layer]) for column in columns.values())]
    ]
    return {"names": list(columns), "layers": layers}


def _shown(reading: WordReading, name: str) -> dict[str, Any]:
    rows, found = changes(reading, name), reading.drifts[name]
    return {
        "name": name,
        "rows": rows[:MOST_ROWS],
        "more": max(0, len(rows) - MOST_ROWS),
        "flagged": int(found.flagged.sum()),
        "regions": found.score.size,
        "usual": f"{found.usual:.2f}",
        "limit": f"{drift.drift_limit(found.usual):.2f}",
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
    """A page of words alone; nothing is loaded from outside. readings: those shown; said: of all that were read."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    return environment.get_template("words.html").render(
        version=lowdose.__version__,
        words=section(readings, window),
        counts={
            name: [[c for c in explanation.frequencies(found) if c.layer == number] for number in (1, 2)]
            for name, found in said.items()
        },
        slices=slices,
        read=len(next(iter(said.values()))),
        autoencoder={"name": named(guided), "sha256": guided.sha256},
        definitions=DEFINITIONS,
        warnings=warnings,
    )
