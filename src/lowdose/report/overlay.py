"""Figures of a slice with its words in their regions, as PNG bytes; they hold no patient data other than the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.image import HU
from lowdose.language.explanation import ExplainedLayer, Explanation, Span
from lowdose.report.figures import INK, new_figure, png

COARSE, CHANGED, FLAGGED = "#6fd3ff", "#e9b44c", "#ff5d5d"
"""Colours of words of layer 1, of words that differ from the first version, and of frames around drifted regions."""

PANEL = 6.4
"""Width of a panel in inches."""

LARGEST, SMALLEST = 7.0, 3.0
"""Largest and smallest font size, points, of the words of layer 2, which are as large as fits into their region."""

LETTER_ASPECT = 0.62
"""Width of a letter over the font size."""


def words_of(reading: WordReading, name: str, window: Window) -> bytes:
    """Draw one version: words of layer 1 large and of layer 2 small, amber where they differ from the first version.

    Regions that drifted have a red frame.
    """
    height, width = reading.images[name].shape
    figure = new_figure(PANEL, PANEL * min(height * reading.aspect / width, 2.0) + 0.3)
    _draw(figure.subplots(), reading, name, window)
    return png(figure)


def side_by_side(reading: WordReading, window: Window) -> bytes:
    """Draw all versions in a row."""
    height, width = reading.images[reading.first].shape
    count = len(reading.images)
    panel_height = PANEL * min(height * reading.aspect / width, 2.0) + 0.3
    figure = new_figure(PANEL * count, panel_height)
    panels: list[Any] = list(np.atleast_1d(figure.subplots(1, count)))
    for axes, name in zip(panels, reading.images, strict=True):
        _draw(axes, reading, name, window)
    return png(figure)


def _draw(axes: Any, reading: WordReading, name: str, window: Window) -> None:
    """Draw one version with its words and the frames of drifted regions."""
    hu: HU = reading.images[name]
    axes.imshow(hu, cmap="gray", vmin=window.low, vmax=window.high, aspect=reading.aspect, alpha=0.75)
    axes.set_title(f"{name}, {window}", color=INK, fontsize=9)
    axes.set_axis_off()
    explanation, before = reading.words[name], reading.words[reading.first]
    layers = list(zip(explanation.layers, before.layers, strict=True))[:2]
    if len(layers) > 1:
        _write_layer_2(axes, *layers[1])
    _write_layer_1(axes, *layers[0], explanation)
    drift = reading.drifts.get(name)
    if drift is not None:
        for row, column in np.argwhere(drift.flagged):
            _frame(axes, drift.rows[row], drift.columns[column], FLAGGED, 1.6)


def _frame(axes: Any, rows: Span, columns: Span, colour: str, line: float) -> None:
    """Draw a rectangle around a region with a line of ``line`` points."""
    (top, bottom), (left, right) = rows, columns
    axes.plot(
        [left - 0.5, right - 0.5, right - 0.5, left - 0.5, left - 0.5],
        [top - 0.5, top - 0.5, bottom - 0.5, bottom - 0.5, top - 0.5],
        color=colour,
        linewidth=line,
    )


def _write_layer_2(axes: Any, layer: ExplainedLayer, before: ExplainedLayer) -> None:
    """Write the words of layer 2 and faint frames around their regions."""
    for row, rows in enumerate(layer.rows):
        for column, columns in enumerate(layer.columns):
            _frame(axes, rows, columns, "#ffffff22", 0.5)
            if layer.readable[row, column]:
                changed = layer.tokens[row, column] != before.tokens[row, column]
                _write(axes, layer.words[row][column], rows, columns, CHANGED if changed else INK, LARGEST)


def _write_layer_1(axes: Any, layer: ExplainedLayer, before: ExplainedLayer, explanation: Explanation) -> None:
    """Write the words of layer 1, placed between the rows of the words of layer 2, and frames around their regions."""
    for row, rows in enumerate(layer.rows):
        for column, columns in enumerate(layer.columns):
            _frame(axes, rows, columns, COARSE + "88", 0.8)
            if layer.readable[row, column]:
                changed = layer.tokens[row, column] != before.tokens[row, column]
                colour = CHANGED if changed else COARSE
                text_rows = _rows_between_words(rows, explanation.layers)
                _write(axes, layer.words[row][column], text_rows, columns, colour, 10.0, bold=True)


def _rows_between_words(rows: Span, layers: tuple[ExplainedLayer, ...]) -> Span:
    """Return rows centred on the edge of regions of layer 2 nearest to the middle of ``rows``.

    A word of layer 1 written there does not cover words of layer 2. If no edge lies inside, ``rows`` is returned.
    """
    middle = sum(rows) / 2
    edges = [edge for span in layers[1].rows for edge in span] if len(layers) > 1 else []
    edge = min(edges, key=lambda row: abs(row - middle), default=rows[0])
    half = min(edge - rows[0], rows[1] - edge)
    return (edge - half, edge + half) if half > 0 else rows


def _write(axes: Any, word: str, rows: Span, columns: Span, colour: str, largest: float, bold: bool = False) -> None:
    """Write a word in the middle of its region, as large as the width allows, or not at all if that is too small."""
    pixels = max(abs(axes.get_xlim()[1] - axes.get_xlim()[0]), 1.0)
    room = 72.0 * PANEL * (columns[1] - columns[0]) / pixels
    size = min(largest, 0.95 * room / (LETTER_ASPECT * max(len(word), 1)))
    if size < SMALLEST:
        return
    from matplotlib import patheffects

    axes.text(
        (columns[0] + columns[1] - 1) / 2, (rows[0] + rows[1] - 1) / 2, word, color=colour, fontsize=size,
        ha="center", va="center", fontweight="bold" if bold else "normal", clip_on=True,
        path_effects=[patheffects.withStroke(linewidth=1.6, foreground="#000000")],
    )  # fmt: skip
