"""Figure of ``contact_sheet``: strips of caption, input, result and difference in two columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import binary_fill_holes, binary_opening, find_objects, gaussian_filter, label

from lowdose.hounsfield import SOFT_TISSUE, Window
from lowdose.image import HU, Mask
from lowdose.report.figures import BACKGROUND, INK, png

SOFT, LUNG = SOFT_TISSUE, Window(-1350.0, 150.0)
AMPLIFICATION = 5.0
COLUMNS = 2
PANEL_INCHES, TEXT_INCHES = 2.5, 1.9
MARGIN_PX = 8


class Strip(NamedTuple):
    """One slice before and after.

    Attributes
    ----------
    before, after : array
        (y, x) HU.
    aspect : float
        Pixel height over width.
    """

    caption: str
    before: HU
    after: HU
    window: Window
    aspect: float


def body(hu: HU) -> Mask:
    """Return the mask of the largest object denser than -500 HU, filled; everything where there is none."""
    parts, count = label(binary_opening(gaussian_filter(hu, 2) > -500, iterations=3))
    if count == 0:
        return np.ones(hu.shape, np.bool_)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray(binary_fill_holes(largest))


def body_box(hu: HU) -> tuple[slice, slice]:
    """Return the rows and columns of the body with a margin, since air around it only makes it smaller."""
    rows, columns = find_objects(body(hu).astype(np.uint8))[0]
    return tuple(
        slice(max(s.start - MARGIN_PX, 0), min(s.stop + MARGIN_PX, n))
        for s, n in zip((rows, columns), hu.shape, strict=True)
    )


def difference_window(window: Window) -> Window:
    """Return the window of the difference: a fifth of the width, centred on 0."""
    half = window.width / 2 / AMPLIFICATION
    return Window(-half, half)


def draw(strips: Sequence[Strip], title: str, path: Path) -> None:
    """Write the PNG; strips fill the left column, then the right one."""
    lines = -(-len(strips) // COLUMNS)
    size = (COLUMNS * (TEXT_INCHES + 3 * PANEL_INCHES), lines * PANEL_INCHES + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title}: input, result, difference x {AMPLIFICATION:g}", color=INK, fontsize=14)
    widths = [TEXT_INCHES, *[PANEL_INCHES] * 3] * COLUMNS
    grid = figure.add_gridspec(lines, 4 * COLUMNS, width_ratios=widths)
    for number, strip in enumerate(strips):
        column, line = divmod(number, lines)
        _strip(figure, [grid[line, 4 * column + n] for n in range(4)], strip)
    path.write_bytes(png(figure))


def _strip(figure: Figure, places: Sequence[Any], strip: Strip) -> None:
    text = figure.add_subplot(places[0])
    text.text(0, 0.5, wrap_lines(strip.caption), color=INK, fontsize=7.5, va="center", transform=text.transAxes)
    text.set_axis_off()
    where, spread = body_box(strip.before), difference_window(strip.window)
    panels = (
        (strip.before, f"input, {strip.window}", strip.window),
        (strip.after, f"result, {strip.window}", strip.window),
        (strip.after - strip.before, f"difference, {spread}", spread),
    )
    for place, (image, name, window) in zip(places[1:], panels, strict=True):
        axes = figure.add_subplot(place, facecolor=BACKGROUND)
        axes.imshow(image[where], cmap="gray", vmin=window.low, vmax=window.high, aspect=strip.aspect)
        axes.set_title(name, color=INK, fontsize=7.5)
        axes.set_axis_off()


def wrap_lines(text: str, most: int = 31) -> str:
    """Break lines after at most ``most`` characters; long names break where they are full."""
    return "\n".join("\n".join(textwrap.wrap(line, most)) for line in text.splitlines())
