"""A slice with its words written where they belong, as PNG bytes. It carries no patient data."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure

from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.image import HU
from lowdose.language.explanation import ExplainedLayer, Explanation, Span
from lowdose.report.figures import INK, png

COARSE, CHANGED, FLAGGED = "#6fd3ff", "#e9b44c", "#ff5d5d"
PANEL = 6.4
LARGEST, SMALLEST = 7.0, 3.0
"""Points of the small words: as large as fits into their region."""

LETTER = 0.62
"""Width of a letter over its height."""


def words_of(reading: WordReading, name: str, window: Window) -> bytes:
    """One version: layer 1 large, layer 2 small; amber where it differs from the first version, red where drifted."""
    height, width = reading.images[name].shape
    figure = Figure(figsize=(PANEL, PANEL * min(height * reading.aspect / width, 2.0) + 0.3), layout="constrained")
    _draw(figure.subplots(), reading, name, window)
    return png(figure)


def side_by_side(reading: WordReading, window: Window) -> bytes:
    """All versions in one row."""
    height, width = reading.images[reading.first].shape
    count = len(reading.images)
    tall = PANEL * min(height * reading.aspect / width, 2.0) + 0.3
    figure = Figure(figsize=(PANEL * count, tall), layout="constrained")
    places: list[Any] = list(np.atleast_1d(figure.subplots(1, count)))
    for axes, name in zip(places, reading.images, strict=True):
        _draw(axes, reading, name, window)
    return png(figure)


def _draw(axes: Any, reading: WordReading, name: str, window: Window) -> None:
    hu: HU = reading.images[name]
    axes.imshow(hu, cmap="gray", vmin=window.low, vmax=window.high, aspect=reading.aspect, alpha=0.75)
    axes.set_title(f"{name}, {window}", color=INK, fontsize=9)
    axes.set_axis_off()
    said, before = reading.words[name], reading.words[reading.first]
    layers = list(zip(said.layers, before.layers, strict=True))[:2]
    if len(layers) > 1:
        _fine(axes, *layers[1])
    _coarse(axes, *layers[0], said)
    drift = reading.drifts.get(name)
    if drift is not None:
        for row, column in np.argwhere(drift.flagged):
            _frame(axes, drift.rows[row], drift.columns[column], FLAGGED, 1.6)


def _frame(axes: Any, rows: Span, columns: Span, ink: str, line: float) -> None:
    (top, bottom), (left, right) = rows, columns
    axes.plot(
        [left - 0.5, right - 0.5, right - 0.5, left - 0.5, left - 0.5],
        [top - 0.5, top - 0.5, bottom - 0.5, bottom - 0.5, top - 0.5],
        color=ink,
        linewidth=line,
    )


def _fine(axes: Any, layer: ExplainedLayer, before: ExplainedLayer) -> None:
    for row, rows in enumerate(layer.rows):
        for column, columns in enumerate(layer.columns):
            _frame(axes, rows, columns, "#ffffff22", 0.5)
            if layer.readable[row, column]:
                changed = layer.tokens[row, column] != before.tokens[row, column]
                _write(axes, layer.words[row][column], rows, columns, CHANGED if changed else INK, LARGEST)


def _coarse(axes: Any, layer: ExplainedLayer, before: ExplainedLayer, said: Explanation) -> None:
    for row, rows in enumerate(layer.rows):
        for column, columns in enumerate(layer.columns):
            _frame(axes, rows, columns, COARSE + "88", 0.8)
            if layer.readable[row, column]:
                changed = layer.tokens[row, column] != before.tokens[row, column]
                ink = CHANGED if changed else COARSE
                _write(axes, layer.words[row][column], _between(rows, said.layers), columns, ink, 10.0, bold=True)


def _between(rows: Span, layers: tuple[ExplainedLayer, ...]) -> Span:
    """Rows around an edge between small words, the nearest to the middle of ``rows``; they themselves if none is in."""
    middle = sum(rows) / 2
    edges = [edge for span in layers[1].rows for edge in span] if len(layers) > 1 else []
    edge = min(edges, key=lambda place: abs(place - middle), default=rows[0])
    half = min(edge - rows[0], rows[1] - edge)
    return (edge - half, edge + half) if half > 0 else rows


def _write(axes: Any, word: str, rows: Span, columns: Span, ink: str, largest: float, bold: bool = False) -> None:
    """In the middle of its region, as large as its width allows."""
    pixels = max(abs(axes.get_xlim()[1] - axes.get_xlim()[0]), 1.0)
    room = 72.0 * PANEL * (columns[1] - columns[0]) / pixels
    size = min(largest, 0.95 * room / (LETTER * max(len(word), 1)))
    if size < SMALLEST:
        return
    axes.text(
        (columns[0] + columns[1] - 1) / 2, (rows[0] + rows[1] - 1) / 2, word, color=ink, fontsize=size,
        ha="center", va="center", fontweight="bold" if bold else "normal", clip_on=True,
        path_effects=[patheffects.withStroke(linewidth=1.6, foreground="#000000")],
    )  # fmt: skip
