"""Pictures: grey-scale panels of slices and of differences, as PNG bytes. They carry no patient data."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lowdose.evaluation.images import FULL, SampleSlice
from lowdose.hounsfield import Window
from lowdose.image import HU

DIFFERENCE_HU = 100.0
BACKGROUND, INK = "#101418", "#e6e9ec"


def png(figure: Figure) -> bytes:
    """Rendered at 110 dots an inch."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor=BACKGROUND)
    return buffer.getvalue()


def _panels(count: int, size: float = 3.6) -> tuple[Figure, list[object]]:
    figure = Figure(figsize=(size * count, size * 1.12), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def _draw(axes: object, image: HU, title: str, window: Window, aspect: float, cmap: str = "gray") -> None:
    axes.imshow(image, cmap=cmap, vmin=window.low, vmax=window.high, aspect=aspect, interpolation="nearest")  # type: ignore[attr-defined]
    axes.set_title(title, color=INK, fontsize=10)  # type: ignore[attr-defined]
    axes.set_axis_off()  # type: ignore[attr-defined]


def preview(before: HU, after: HU, window: Window, aspect: float, model: str) -> bytes:
    """Before, after and their difference side by side, each with its window. aspect: pixel height over width."""
    figure, axes = _panels(3)
    spread = Window(-DIFFERENCE_HU, DIFFERENCE_HU)
    _draw(axes[0], before, f"input, {window}", window, aspect)
    _draw(axes[1], after, f"{model}, {window}", window, aspect)
    _draw(axes[2], after - before, f"difference, {spread}", spread, aspect)
    return png(figure)


def compare(sample: SampleSlice, window: Window) -> bytes:
    """Every version of one slice in one row."""
    figure, axes = _panels(len(sample.images))
    for place, (name, image) in zip(axes, sample.images.items(), strict=True):
        _draw(place, image, name, window, sample.aspect)
    return png(figure)


def differences(sample: SampleSlice) -> bytes:
    """Every version minus full dose: what is left of the noise, and any structure that was lost or made up."""
    others = {name: image for name, image in sample.images.items() if name != FULL}
    figure, axes = _panels(len(others))
    spread = Window(-DIFFERENCE_HU, DIFFERENCE_HU)
    for place, (name, image) in zip(axes, others.items(), strict=True):
        _draw(place, image - sample.images[FULL], f"{name} minus full dose", spread, sample.aspect)
    return png(figure)


def zoom(sample: SampleSlice, window: Window, side: int = 128) -> bytes:
    """The same square of every version, enlarged: where the full-dose image has most soft-tissue structure."""
    y, x = busiest(sample.images[FULL], window, side)
    figure, axes = _panels(len(sample.images))
    for place, (name, image) in zip(axes, sample.images.items(), strict=True):
        _draw(place, image[y : y + side, x : x + side], f"{name}, enlarged", window, sample.aspect)
    return png(figure)


def busiest(image: HU, window: Window, side: int) -> tuple[int, int]:
    """Top left corner of the square whose windowed values vary most while lying well inside the window."""
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
