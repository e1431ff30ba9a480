"""Figures of a slice in all versions with the outlines of its organs, one colour for each organ, as PNG bytes."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np

from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_statistics import OrganSample
from lowdose.hounsfield import BODY_HU, Window
from lowdose.image import HU
from lowdose.report.figures import INK, new_figure, png

MARGIN = 6
"""Pixels of air that are shown around the body."""

PANEL = 4.4
"""Width of a panel in inches."""

GOLDEN = 0.618034
"""Share of the colour circle between one organ and the next, so that neighbours in the list differ most."""


def colours(sample: OrganSample, names: Mapping[int, str]) -> dict[int, str]:
    """Return the colour '#rrggbb' of each organ, by number, that occurs in some panel."""
    segmentations = [*sample.labels.values(), *([] if sample.reference is None else [sample.reference])]
    present = {int(number) for labels in segmentations for number in np.unique(labels)}
    colour_of = {}
    for rank, number in enumerate(number for number in names if number in present):
        rgb = colorsys.hsv_to_rgb(rank * GOLDEN % 1.0, (0.8, 0.5, 0.65)[rank % 3], (1.0, 0.85)[rank % 2])
        colour_of[number] = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
    return colour_of


def picture(sample: OrganSample, names: Mapping[int, str], window: Window) -> bytes:
    """Draw all versions with their outlines, and full dose with the given labels, if any, cropped to the body."""
    rows, columns = body_crop(sample.images[FULL])
    panels = [(name, hu, sample.labels[name]) for name, hu in sample.images.items()]
    if sample.reference is not None:
        panels.append((f"{FULL}, labels given", sample.images[FULL], sample.reference))
    panels_across = {4: 2}.get(len(panels), min(len(panels), 3))
    panels_down = -(-len(panels) // panels_across)
    height, width = (rows.stop - rows.start) * sample.aspect, columns.stop - columns.start
    figure = new_figure(PANEL * panels_across, (PANEL * height / width + 0.3) * panels_down)
    all_axes: list[Any] = list(np.atleast_1d(figure.subplots(panels_down, panels_across)).flat)
    colour_of = colours(sample, names)
    for axes in all_axes:
        axes.set_axis_off()
    for axes, (name, hu, labels) in zip(all_axes, panels, strict=False):
        axes.imshow(hu[rows, columns], cmap="gray", vmin=window.low, vmax=window.high, aspect=sample.aspect)
        axes.set_title(name, color=INK, fontsize=10)
        for number, colour in colour_of.items():
            inside = labels[rows, columns] == number
            if inside.any() and min(inside.shape) > 1:
                axes.contour(inside, levels=[0.5], colors=[colour], linewidths=1.0)
    return png(figure)


def body_crop(hu: HU) -> tuple[slice, slice]:
    """Return the rows and columns that hold the body, with a margin; the whole slice if it holds only air."""
    inside = hu > BODY_HU
    crops = []
    for axis in (1, 0):
        occupied = np.flatnonzero(inside.mean(axis=axis) > 0.01)
        ends = (int(occupied[0]), int(occupied[-1]) + 1) if len(occupied) else (0, hu.shape[1 - axis])
        crops.append(slice(max(0, ends[0] - MARGIN), min(hu.shape[1 - axis], ends[1] + MARGIN)))
    return crops[0], crops[1]
