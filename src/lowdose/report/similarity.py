"""Maps of similarity or attention as pictures and a page. They hold no patient data other than the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.similarity import Query, SimilarityReading
from lowdose.hounsfield import Window
from lowdose.io.messages import counted
from lowdose.report.figures import INK, new_figure, png
from lowdose.report.outlines import body_crop
from lowdose.version import __version__

PANEL, ACROSS = 5.4, 2
"""Width of a panel in inches, and panels in a row."""
COLOURS = "inferno"
MARK = "#35e0ff"
"""Colour of the mark at the place that was asked for."""
LOWEST, HIGHEST = 50.0, 99.5
"""Percentiles of a map at which the scale of colours begins, and, for attention, ends: most of what features have in
common is that of all places."""


class Kind(NamedTuple):
    """What maps show: its name in run folders' terms, the title of a panel, and the highest value (None: by map)."""

    name: str
    title: str
    highest: float | None


SIMILARITY = Kind("similarity", "similar to this place in {}", 1.0)
ATTENTION = Kind("attention", "looked at, to judge this place in {}", None)


def picture(reading: SimilarityReading, window: Window, kind: Kind) -> bytes:
    """Draw a slice with its places, and the map of each of them, as PNG bytes."""
    rows, columns = body_crop(reading.hu)
    tall = (rows.stop - rows.start) * reading.aspect / (columns.stop - columns.start)
    down = -(-(1 + len(reading.queries)) // ACROSS)
    figure = new_figure(PANEL * ACROSS, (PANEL * min(tall, 2.0) * 0.86 + 0.3) * down)
    panels: list[Any] = list(figure.subplots(down, ACROSS).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes in panels[: 1 + len(reading.queries)]:
        axes.imshow(reading.hu, cmap="gray", vmin=window.low, vmax=window.high, aspect=reading.aspect)
        axes.set_xlim(columns.start - 0.5, columns.stop - 0.5)
        axes.set_ylim(rows.stop - 0.5, rows.start - 0.5)
    panels[0].set_title(f"the slice, {window}", color=INK, fontsize=11)
    for number, (axes, query) in enumerate(zip(panels[1:], reading.queries, strict=False), start=1):
        _mark(panels[0], query, str(number))
        shown = query.values[rows, columns]
        high = float(np.percentile(shown, HIGHEST)) if kind.highest is None else kind.highest
        low = min(float(np.percentile(shown, LOWEST)), 0.999 * high)
        drawn = axes.imshow(query.values, cmap=COLOURS, vmin=low, vmax=high, aspect=reading.aspect, alpha=0.85)
        _mark(axes, query, str(number))
        axes.set_title(f"{number}: {kind.title.format(query.tissue)}", color=INK, fontsize=11)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.01)
        bar.ax.tick_params(colors=INK, labelsize=8)
        bar.outline.set_visible(False)
    return png(figure)


def _mark(axes: Any, query: Query, number: str) -> None:
    """Draw a ring and a number at a place."""
    from matplotlib import patheffects

    rim = [patheffects.withStroke(linewidth=3, foreground="#000000")]
    axes.plot(query.column, query.row, "o", ms=11, mfc="none", mec=MARK, mew=1.8, path_effects=rim)
    axes.annotate(
        number, (query.column, query.row), (9, 7), textcoords="offset points", color=MARK, fontsize=11,
        fontweight="bold", path_effects=rim,
    )  # fmt: skip


def page(
    readings: Sequence[SimilarityReading], pictures: Sequence[bytes], kind: Kind, run: str, slices: int,
    warnings: Sequence[str],
) -> str:  # fmt: skip
    """Return the HTML page, which loads no other files.

    pictures: of each reading. run: what the network is from. slices: number of those in the series.
    """
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    shown = [
        {
            "index": reading.index,
            "position": None if reading.position is None else f"{reading.position:.1f}",
            "picture": data_url(drawn),
            "queries": reading.queries,
        }
        for reading, drawn in zip(readings, pictures, strict=True)
    ]
    return environment.get_template("similarity.html").render(
        version=__version__,
        slices=counted(slices, "slice"),
        shown=shown,
        run=run,
        warnings=warnings,
        kind=kind.name,
        percentile=f"{LOWEST:g}",
    )
