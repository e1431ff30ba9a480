"""Figures of an evaluation with lesions, as PNG bytes: curves of detection, and lesions in all images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lowdose.evaluation.images import FULL
from lowdose.evaluation.lesion_detection import Estimate, sensitivity_name, size_name
from lowdose.evaluation.lesion_table import LesionEvaluation, LesionRow, LesionSample
from lowdose.io.messages import counted
from lowdose.metrics.lesion_detection import free_response, join_outcomes
from lowdose.report.figures import BACKGROUND, INK, draw_box, draw_slice, new_figure, png
from lowdose.report.lesion_tables import found_scores

TRUE, DETECTED = "#63c58b", "#e9b44c"
"""Colours of the true box of a lesion, and of detections."""
MOST_SHOWN = 4
"""Lesions of a kind that are shown."""
PANEL = 2.3
"""Width of a crop in inches."""


def free_response_plot(evaluation: LesionEvaluation, rates: Sequence[float]) -> bytes:
    """Draw the sensitivity of every image over false detections a slice, with 95 % intervals at ``rates``."""
    figure = new_figure(7.2, 4.0)
    axes = _plain_axes(figure)
    grid = np.geomspace(rates[0], rates[-1], 200)
    for number, (image, colour, width) in enumerate(_lines(evaluation)):
        outcome = join_outcomes([each.half for each in evaluation.detections[image]])
        axes.plot(grid, free_response(outcome, grid.tolist()), color=colour, linewidth=width, label=image)
        estimates = [_estimate(evaluation, image, sensitivity_name(rate)) for rate in rates]
        _whiskers(axes, np.array(rates) * 1.03 ** (number - len(evaluation.images) / 2), estimates, colour)
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set_xlabel("false detections a slice", color=INK)
    return _finished(figure, axes)


def size_plot(evaluation: LesionEvaluation, sizes: Sequence[tuple[float, float]]) -> bytes:
    """Draw the share of lesions that is found in every image by diameter, with 95 % intervals."""
    figure = new_figure(7.2, 4.0)
    axes = _plain_axes(figure)
    rows = evaluation.of_image(FULL)
    lesions = {size: sum(size[0] <= row.lesion.diameter_mm < size[1] for row in rows) for size in sizes}
    shown = [size for size in sizes if lesions[size]]
    width = 0.8 / len(evaluation.images)
    for number, (image, colour, _) in enumerate(_lines(evaluation)):
        estimates = [_estimate(evaluation, image, size_name(size)) for size in shown]
        places = np.arange(len(shown)) + (number - (len(evaluation.images) - 1) / 2) * width
        axes.bar(places, [each.value for each in estimates], 0.85 * width, color=colour, label=image)
        _whiskers(axes, places, estimates, INK)
    axes.set_xticks(range(len(shown)), [f"{size_name(size)}\n{counted(lesions[size], 'lesion')}" for size in shown])
    return _finished(figure, axes)


def _lines(evaluation: LesionEvaluation) -> Iterator[tuple[str, str, float]]:
    """Yield every image with its colour and the width of its line; full dose is the thick one."""
    for number, image in enumerate(evaluation.images):
        yield image, INK if image == FULL else f"C{number}", 2.6 if image == FULL else 1.6


def _estimate(evaluation: LesionEvaluation, image: str, name: str) -> Estimate:
    assert evaluation.figures is not None
    return evaluation.figures.values[image][name]


def _whiskers(axes: Any, places: Any, estimates: Sequence[Estimate], colour: str) -> None:
    """Draw the intervals that there are."""
    for place, (_, low, high) in zip(places, estimates, strict=True):
        if not np.isnan(low):
            axes.plot([place, place], [low, high], color=colour, linewidth=1.0, alpha=0.7)


def _plain_axes(figure: Any) -> Any:
    axes = figure.subplots()
    axes.set_facecolor(BACKGROUND)
    axes.tick_params(which="both", colors=INK)
    axes.grid(axis="y", color=INK, alpha=0.15)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("sensitivity", color=INK)
    return axes


def _finished(figure: Any, axes: Any) -> bytes:
    axes.legend(
        facecolor=BACKGROUND, edgecolor=BACKGROUND, labelcolor=INK, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1)
    )
    return png(figure)


def chosen(evaluation: LesionEvaluation) -> dict[str, list[LesionSample]]:
    """Return the lesions to show by what became of them, a few of each kind, in the order of the samples."""
    rows, least = _rows(evaluation), found_scores(evaluation)
    if not least:
        return {"Some of the lesions": evaluation.samples[:MOST_SHOWN]}
    kinds: dict[str, list[LesionSample]] = {
        "Found in some images, missed in others": [], "Found in all images": [], "Missed in all images": []
    }  # fmt: skip
    names = list(kinds)
    for sample in evaluation.samples:
        found = [rows[sample.view, sample.number, image].score >= least[image] for image in evaluation.images]
        kinds[names[1] if all(found) else names[2] if not any(found) else names[0]].append(sample)
    return {title: samples[:MOST_SHOWN] for title, samples in kinds.items() if samples}


def crops(evaluation: LesionEvaluation, samples: Sequence[LesionSample]) -> bytes:
    """Draw lesions one below the other, each in all images, with its true box and what the detector found."""
    rows, least = _rows(evaluation), found_scores(evaluation)
    figure = new_figure(PANEL * len(evaluation.images), (PANEL + 0.28) * len(samples))
    panels = figure.subplots(len(samples), len(evaluation.images), squeeze=False)
    for line, sample in zip(panels, samples, strict=True):
        for axes, image in zip(line, evaluation.images, strict=True):
            row = rows[sample.view, sample.number, image]
            title = _caption(row, image, least)
            draw_slice(axes, sample.images[image], title, row.lesion.window, sample.aspect, size=8)
            if least:
                _draw_detections(axes, evaluation, sample, image, least[image])
            draw_box(axes, row.lesion.box, sample.corner, TRUE, linestyle=(0, (3, 3)))
    return png(figure)


def _rows(evaluation: LesionEvaluation) -> dict[tuple[int, int, str], LesionRow]:
    return {(row.view, row.number, row.image): row for row in evaluation.rows}


def _caption(row: LesionRow, image: str, least: dict[str, float]) -> str:
    what = (
        f"{row.lesion.organ}, {row.lesion.diameter_mm:.0f} mm, {row.lesion.contrast_hu:+.0f} HU"
        if image == FULL
        else ""
    )
    found = ("found" if row.score >= least[image] else "missed") if least else ""
    return ": ".join(part for part in (image, found) if part) + (f"\n{what}" if what else "\n ")


def _draw_detections(axes: Any, evaluation: LesionEvaluation, sample: LesionSample, image: str, least: float) -> None:
    found = evaluation.detections[image][sample.view]
    for box, score in zip(found.boxes, found.scores, strict=True):
        if score >= least:
            draw_box(axes, box, sample.corner, DETECTED)
