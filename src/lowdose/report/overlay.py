"""Figures of a slice with its words, as PNG bytes; they hold no patient data other than the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import Window
from lowdose.image import Mask
from lowdose.language.body import Span, body_mask
from lowdose.language.explanation import ExplainedLayer
from lowdose.report.figures import INK, draw_box, new_figure, png
from lowdose.report.outlines import body_crop
from lowdose.report.word_regions import in_pixels, word_areas
from lowdose.report.words import changes, other_structure

COARSE, CHANGED, FLAGGED, OUTLINE = "#6fd3ff", "#e9b44c", "#ff5d5d", "#7fd6a3"
"""Colours of words of layer 1, of words of another structure than in the first version, of frames around drifted
regions, and of the outline of the body."""

PANEL = 6.4
"""Width of a panel in inches."""

LARGEST, SMALLEST, TOO_SMALL = 11.0, 6.5, 3.0
"""Largest and smallest font size, points, of the words of layer 2, which are as large as fits into their area. A long
word may reach beyond it; where less than the third size would fit, no word is written."""

LETTER_ASPECT = 0.62
"""Width of a letter over the font size."""


def words_of(reading: WordReading, name: str, window: Window) -> bytes:
    """Draw one version on the outline of the body.

    Blue, in the corners: words of layer 1. In the image: words of layer 2, one for neighbouring regions with the same
    word; amber where they name another structure than in the first version. Regions that changed have a letter, as in
    ``words.changes``, and a frame, red where they drifted.
    """
    height, width = _cropped_size(reading)
    figure = new_figure(PANEL, PANEL * min(height / width, 2.0) + 0.3)
    _draw(figure.subplots(), reading, name, window)
    return png(figure)


def side_by_side(reading: WordReading, window: Window) -> bytes:
    """Draw all versions in a row."""
    height, width = _cropped_size(reading)
    count = len(reading.images)
    figure = new_figure(PANEL * count, PANEL * min(height / width, 2.0) + 0.3)
    panels: list[Any] = list(np.atleast_1d(figure.subplots(1, count)))
    for axes, name in zip(panels, reading.images, strict=True):
        _draw(axes, reading, name, window)
    return png(figure)


def _cropped_size(reading: WordReading) -> tuple[float, int]:
    """Return height and width of the part that is shown, in widths of a pixel."""
    rows, columns = body_crop(reading.images[reading.first])
    return (rows.stop - rows.start) * reading.aspect, columns.stop - columns.start


def _draw(axes: Any, reading: WordReading, name: str, window: Window) -> None:
    """Draw one version with the outline of the body, its words, and the regions that changed."""
    hu = reading.images[name]
    rows, columns = body_crop(reading.images[reading.first])
    axes.imshow(hu, cmap="gray", vmin=window.low, vmax=window.high, aspect=reading.aspect, alpha=0.8)
    axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
    axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    axes.set_title(f"{name}, {window}", color=INK, fontsize=9)
    axes.set_axis_off()
    _contour(axes, body_mask(hu), OUTLINE, 1.0)
    explanation, before = reading.words[name], reading.words[reading.first]
    if len(explanation.layers) > 1:
        _write_areas(axes, explanation.layers[1], before.layers[1], hu.shape)
    _write_corners(axes, explanation.layers[0], (rows, columns))
    for row in _marked(reading, name):
        (top, bottom), (left, right) = row["rows"], row["columns"]
        colour = FLAGGED if row["flagged"] else CHANGED
        draw_box(axes, (top, left, bottom, right), (0, 0), colour, linewidth=1.6)
        axes.text(
            left + 1, top + 1, row["mark"], color="#101418", fontsize=8, fontweight="bold",
            ha="left", va="top", clip_on=True,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip


def _marked(reading: WordReading, name: str) -> list[dict[str, Any]]:
    """Return the changed regions that are marked in a version; those of the only processed version in all of them."""
    of = name if name in reading.drifts else next(iter(reading.drifts), None) if len(reading.drifts) == 1 else None
    return [] if of is None else [row for row in changes(reading, of) if row["mark"]]


def _contour(axes: Any, mask: Mask, colour: str, line: float) -> None:
    """Draw the outline of a mask; nothing of one that is empty, full, or a single row or column."""
    if min(mask.shape) > 1 and mask.any():
        axes.contour(mask, levels=[0.5], colors=[colour], linewidths=line)


def _write_areas(axes: Any, layer: ExplainedLayer, before: ExplainedLayer, shape: tuple[int, ...]) -> None:
    """Write each word of layer 2 into its area, with a faint outline."""
    for area in word_areas(layer, _changed(layer, before)):
        _contour(axes, in_pixels(area.cells, layer, (shape[0], shape[1])), "#ffffff55", 0.6)
        _write(axes, area.word, area.rows, area.columns, CHANGED if area.changed else INK)


def _changed(layer: ExplainedLayer, before: ExplainedLayer) -> NDArray[np.bool_]:
    pairs = zip(before.words, layer.words, strict=True)
    return np.array([[other_structure(*words) for words in zip(*lines, strict=True)] for lines in pairs], np.bool_)


def _write_corners(axes: Any, layer: ExplainedLayer, shown: tuple[slice, slice]) -> None:
    """Write the words of layer 1 at the outer corner of their regions, where a body leaves room."""
    rows, columns = shown
    for row, (top, bottom) in enumerate(layer.rows):
        for column, (left, right) in enumerate(layer.columns):
            if not layer.shown[row, column]:
                continue
            upper, to_left = row < (len(layer.rows) + 1) // 2, column < (len(layer.columns) + 1) // 2
            y = max(top, rows.start) + 2 if upper else min(bottom, rows.stop) - 3
            x = max(left, columns.start) + 2 if to_left else min(right, columns.stop) - 3
            _text(
                axes, x, y, layer.words[row][column], COARSE, 11.0,
                ha="left" if to_left else "right", va="top" if upper else "bottom", fontweight="bold",
            )  # fmt: skip


def _write(axes: Any, word: str, rows: Span, columns: Span, colour: str) -> None:
    """Write a word in the middle of its area, as large as the width allows."""
    pixels = max(abs(axes.get_xlim()[1] - axes.get_xlim()[0]), 1.0)
    room = 72.0 * PANEL * (columns[1] - columns[0]) / pixels
    fitting = 0.95 * room / (LETTER_ASPECT * max(len(word), 1))
    if fitting >= TOO_SMALL:
        x, y = (columns[0] + columns[1] - 1) / 2, (rows[0] + rows[1] - 1) / 2
        _text(axes, x, y, word, colour, min(LARGEST, max(SMALLEST, fitting)), ha="center", va="center")


def _text(axes: Any, x: float, y: float, word: str, colour: str, size: float, **where: str) -> None:
    """Write with a dark rim, which keeps words readable on any tissue."""
    from matplotlib import patheffects

    rim = [patheffects.withStroke(linewidth=1.8, foreground="#000000")]
    axes.text(x, y, word, color=colour, fontsize=size, clip_on=True, path_effects=rim, **where)
