"""The noise power spectra of all rows over that of full dose, each method beside its twin and the blended twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from experiments.leaderboard.compare import Row, is_twin
from lowdose.metrics.statistics import summarise
from lowdose.report.figures import BACKGROUND, INK, png

ACROSS = 3
PREFIX = "nps_0"
"""What the keys of the bands in a row begin with; the whole number is the middle of the band over Nyquist."""
GREY, COLOURS = "#8a939b", ("#ffb454", "#59c2ff", "#7fd962")


def curve(slices: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Return frequencies over Nyquist, and the geometric mean over patients of the noise power over full dose's."""
    keys = sorted({key for one in slices for key in one if key.startswith(PREFIX)})
    means = []
    for key in keys:
        known = [one for one in slices if key in one]
        logs = [float(np.log(one[key])) for one in known]
        means.append(float(np.exp(summarise(logs, [one["patient"] for one in known], seed=0).mean)))
    return [float(key.removeprefix("nps_")) for key in keys], means


def draw_spectra(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel of the filters, and one of each trained method that has a twin."""
    by_name = {row["method"]: row for row in rows}
    filters = {row["method"]: row["slices"] for row in rows if "network" not in row and row["method"] != "low_dose"}
    panels: list[tuple[str, dict[str, Sequence[Row]]]] = [("classical filters", filters)]
    for row in rows:
        twin = next((other for other in rows if is_twin(other, row)), None)
        if twin is None or twin is row:
            continue
        lines = {row["method"]: row["slices"], twin["method"]: twin["slices"]}
        if control := row.get("control"):
            lines[f"{control['strength']:.2f} of {twin['method']}"] = control["slices"]
        panels.append((row["method"], lines))
    lines_of_panels = -(-len(panels) // ACROSS)
    figure = Figure(figsize=(4.0 * ACROSS, 3.1 * lines_of_panels), layout="constrained")
    places = np.atleast_1d(figure.subplots(lines_of_panels, ACROSS, sharey=True)).ravel()
    for place in places[len(panels) :]:
        place.set_axis_off()
    for place, (title, lines) in zip(places, panels, strict=False):
        draw_panel(place, title, lines, by_name.get("low_dose"))
    path.write_bytes(png(figure))


def draw_panel(axes: Axes, title: str, lines: Mapping[str, Sequence[Row]], low_dose: Row | None) -> None:
    """Draw one panel: full dose is the line at 1."""
    axes.axhline(1.0, color=INK, linewidth=0.8)
    axes.text(0.75, 1.05, "full dose", color=INK, fontsize=7, ha="right")
    if low_dose:
        axes.plot(*curve(low_dose["slices"]), color=GREY, linewidth=1.2, label="low dose")
    for number, (name, slices) in enumerate(lines.items()):
        style = "--" if " of " in name else "-"
        axes.plot(*curve(slices), style, color=COLOURS[number], linewidth=1.6, marker="o", markersize=3, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, color=INK, fontsize=10)
    axes.set_xlabel("frequency over Nyquist", color=INK, fontsize=8)
    axes.set_ylabel("noise power over full dose", color=INK, fontsize=8)
    axes.set_facecolor(BACKGROUND)
    axes.tick_params(colors=INK, labelsize=7, which="both")
    axes.legend(loc="lower left", facecolor=BACKGROUND, edgecolor=GREY, labelcolor=INK, fontsize=7)
