"""Figures of slices and of their differences, as PNG bytes. They hold no patient data other than the pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowdose.boxes import Box
from lowdose.evaluation.images import FULL, SampleSlice
from lowdose.hounsfield import Window
from lowdose.image import HU
from lowdose.metrics.noise_frequency import Spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIFFERENCE_HU = 100.0
"""Differences are shown in the window from minus to plus this value, HU."""

BACKGROUND, INK = "#101418", "#e6e9ec"
"""Colours of the background and of text."""


def new_figure(width: float, height: float) -> Figure:
    """Create a figure of this size in inches."""
    from matplotlib.figure import Figure  # takes as long to import as half of PyTorch, and most runs draw nothing

    return Figure(figsize=(width, height), layout="constrained")


def png(figure: Figure) -> bytes:
    """Render a figure as PNG at 110 dots per inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    # Noise does not compress: on slices the lowest level takes half of the time, and its files are no larger.
    figure.savefig(buffer, format="png", dpi=110, facecolor=BACKGROUND, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def _panels(count: int, size: float = 3.6) -> tuple[Figure, list[object]]:
    """Create a figure with a row of panels, each ``size`` inches wide."""
    figure = new_figure(size * count, size * 1.12)
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def draw_slice(
    axes: Any, image: HU, title: str, window: Window, aspect: float, cmap: str = "gray", size: int = 10
) -> None:
    """Draw an image (y, x), HU, into a panel; ``aspect`` is the height of a pixel over its width."""
    axes.imshow(image, cmap=cmap, vmin=window.low, vmax=window.high, aspect=aspect, interpolation="nearest")
    axes.set_title(title, color=INK, fontsize=size)
    axes.set_axis_off()
    axes.autoscale(False)  # a box that reaches beyond the image is cut


def draw_box(axes: Any, box: Box, corner: tuple[int, int], colour: str, **line: Any) -> None:
    """Draw a box of a slice into a panel that shows the part of the slice whose first pixel is ``corner``.

    A panel has the centre of its first pixel at 0, where boxes have its outer edge. line: settings of its line.
    """
    top, left, bottom, right = (edge - corner[number % 2] - 0.5 for number, edge in enumerate(box))
    axes.plot(
        [left, right, right, left, left], [top, top, bottom, bottom, top], color=colour, **{"linewidth": 1.2, **line}
    )


def preview(before: HU, after: HU, window: Window, aspect: float, model: str) -> bytes:
    """Draw a slice before and after denoising and their difference, side by side, each with its window.

    Images are (y, x), HU. ``aspect`` is the height of a pixel over its width, ``model`` the title of the result.
    """
    figure, axes = _panels(3)
    difference_window = Window(-DIFFERENCE_HU, DIFFERENCE_HU)
    draw_slice(axes[0], before, f"input, {window}", window, aspect)
    draw_slice(axes[1], after, f"{model}, {window}", window, aspect)
    draw_slice(axes[2], after - before, f"difference, {difference_window}", difference_window, aspect)
    return png(figure)


def compare(sample: SampleSlice, window: Window) -> bytes:
    """Draw all versions of one slice in a row."""
    figure, axes = _panels(len(sample.images))
    for panel, (name, image) in zip(axes, sample.images.items(), strict=True):
        draw_slice(panel, image, name, window, sample.aspect)
    return png(figure)


def differences(sample: SampleSlice) -> bytes:
    """Draw each version minus full dose, which shows remaining noise and any structure that was lost or invented."""
    others = {name: image for name, image in sample.images.items() if name != FULL}
    figure, axes = _panels(len(others))
    difference_window = Window(-DIFFERENCE_HU, DIFFERENCE_HU)
    for panel, (name, image) in zip(axes, others.items(), strict=True):
        draw_slice(panel, image - sample.images[FULL], f"{name} minus full dose", difference_window, sample.aspect)
    return png(figure)


def zoom(sample: SampleSlice, window: Window, side: int = 128) -> bytes:
    """Draw the same square of all versions, enlarged, where the full-dose image has most soft-tissue structure."""
    y, x = most_structured_region(sample.images[FULL], window, side)
    figure, axes = _panels(len(sample.images))
    for panel, (name, image) in zip(axes, sample.images.items(), strict=True):
        draw_slice(panel, image[y : y + side, x : x + side], f"{name}, enlarged", window, sample.aspect)
    return png(figure)


def noise_spectra(curves: Mapping[str, Spectrum]) -> bytes:
    """Draw noise power spectra over frequency; full dose is the thick line that the others should follow."""
    figure = new_figure(7.2, 3.6)
    axes = figure.subplots()
    axes.set_facecolor(BACKGROUND)
    for number, (name, curve) in enumerate(curves.items()):
        thick = name == FULL
        axes.plot(*curve, label=name, color=INK if thick else f"C{number}", linewidth=3 if thick else 1.6)
    axes.set_yscale("log")
    axes.set_xlabel("spatial frequency (1/mm)", color=INK)
    axes.set_ylabel("NPS (HU² mm²)", color=INK)
    axes.tick_params(which="both", colors=INK)
    axes.grid(color=INK, alpha=0.15)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.legend(facecolor=BACKGROUND, edgecolor=BACKGROUND, labelcolor=INK)
    return png(figure)


def most_structured_region(image: HU, window: Window, side: int) -> tuple[int, int]:
    """Return the top left corner (y, x) of the square whose values vary most while lying well inside the window."""
    grey = window.apply(image)
    best, corner = -1.0, (0, 0)
    for y in range(0, max(1, image.shape[0] - side), side // 4):
        for x in range(0, max(1, image.shape[1] - side), side // 4):
            part: NDArray[np.float64] = grey[y : y + side, x : x + side]
            inside = float(np.mean((part > 0.02) & (part < 0.98)))
            score = inside**2 * float(part.std())
            if score > best:
                best, corner = score, (y, x)
    return corner
