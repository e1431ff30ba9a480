"""A slice in every version with the organs drawn on it: outlines in one colour an organ, as PNG bytes."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_statistics import OrganSample
from lowdose.hounsfield import Window
from lowdose.image import HU
from lowdose.report.figures import INK, png

BODY_HU = -300.0
MARGIN = 6
PANEL = 4.4
GOLDEN = 0.618034
"""Of the colour circle between one organ and the next, so that neighbours in the list differ most."""


def colours(sample: OrganSample, names: Mapping[int, str]) -> dict[int, str]:
    """Number -> '#rrggbb' of the organs that any panel has."""
    drawn = [*sample.labels.values(), *([] if sample.reference is None else [sample.reference])]
    present = {int(number) for labels in drawn for number in np.unique(labels)}
    found = {}
    for rank, number in enumerate(number for number in names if number in present):
        rgb = colorsys.hsv_to_rgb(rank * GOLDEN % 1.0, (0.8, 0.5, 0.65)[rank % 3], (1.0, 0.85)[rank % 2])
        found[number] = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
    return found


def picture(sample: OrganSample, names: Mapping[int, str], window: Window) -> bytes:
    """Every version with its outlines, and full dose with the labels given, if any; cut to the body."""
    rows, columns = _body(sample.images[FULL])
    panels = [(name, hu, sample.labels[name]) for name, hu in sample.images.items()]
    if sample.reference is not None:
        panels.append((f"{FULL}, labels given", sample.images[FULL], sample.reference))
    wide = {4: 2}.get(len(panels), min(len(panels), 3))
    tall = -(-len(panels) // wide)
    height, width = (rows.stop - rows.start) * sample.aspect, columns.stop - columns.start
    figure = Figure(figsize=(PANEL * wide, (PANEL * height / width + 0.3) * tall), layout="constrained")
    places: list[Any] = list(np.atleast_1d(figure.subplots(tall, wide)).flat)
    inks = colours(sample, names)
    for axes in places:
        axes.set_axis_off()
    for axes, (name, hu, labels) in zip(places, panels, strict=False):
        axes.imshow(hu[rows, columns], cmap="gray", vmin=window.low, vmax=window.high, aspect=sample.aspect)
        axes.set_title(name, color=INK, fontsize=10)
        for number, ink in inks.items():
            inside = labels[rows, columns] == number
            if inside.any() and min(inside.shape) > 1:
                axes.contour(inside, levels=[0.5], colors=[ink], linewidths=1.0)
    return png(figure)


def _body(hu: HU) -> tuple[slice, slice]:
    """The rectangle around all that is not air; the whole slice when there is nothing."""
    inside = hu > BODY_HU
    found = []
    for axis in (1, 0):
        places = np.flatnonzero(inside.mean(axis=axis) > 0.01)
        ends = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, hu.shape[1 - axis])
        found.append(slice(max(0, ends[0] - MARGIN), min(hu.shape[1 - axis], ends[1] + MARGIN)))
    return found[0], found[1]
