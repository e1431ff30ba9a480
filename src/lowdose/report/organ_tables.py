"""Tables of the page of an organ evaluation: Dice and HD95 of every organ, and the HU inside of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from lowdose.evaluation.images import FULL
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.metrics.statistics import Summary

ALL = "all organs"
"""Name of the mean over all organs of a case."""


class Measure(NamedTuple):
    """Measure of the agreement with the reference that has a table on the page.

    Attributes
    ----------
    name : str
        Field of ``OrganRow``.
    form : str
        Format specification of its values.
    sign : int
        1 if higher is better, -1 if lower is.
    """

    name: str
    form: str
    sign: int


DICE = Measure("dice", ".3f", 1)
HD95 = Measure("hd95_mm", ".2f", -1)


def mean_over_cases(evaluation: OrganEvaluation, image: str, organ: str, what: str) -> float | None:
    """Return the mean of a statistic over the cases; None if no case has it."""
    values = evaluation.values(image, organ, what).values()
    return sum(values) / len(values) if values else None


def organs_in_reference(evaluation: OrganEvaluation) -> list[str]:
    """Return the organs that occur in the reference of some case."""
    return [name for name in evaluation.names.values() if evaluation.values(FULL, name, "mean_hu")]


def agreement_rows(evaluation: OrganEvaluation, measure: Measure, images: list[str]) -> list[dict[str, Any]]:
    """Return the rows of the table of a measure: the mean over all organs, then each organ that has a value."""
    rows = [_agreement_row(evaluation, measure, organ, images) for organ in (None, *evaluation.organs_compared())]
    return [row for row in rows if row["series"]]


def _agreement_row(
    evaluation: OrganEvaluation, measure: Measure, organ: str | None, images: list[str]
) -> dict[str, Any]:
    """Return a row of a table, for one organ or the mean over all; the best image but full dose is marked."""
    summaries = {image: evaluation.summary(image, organ, measure.name) for image in images}
    shown = {image: format(value.mean, measure.form) for image, value in summaries.items() if value is not None}
    ranks = {image: measure.sign * float(text) for image, text in shown.items() if image != FULL}
    best = max(ranks.values()) if len(set(ranks.values())) > 1 else None
    cells = [
        {**_cell(value, measure.form), "good": image in ranks and ranks[image] == best}
        for image, value in summaries.items()
    ]
    volume = mean_over_cases(evaluation, FULL, organ, "reference_ml") if organ else None
    changes = (evaluation.change(image, organ, what=measure.name) for image in evaluation.models)
    return {
        "organ": words(organ or ALL),
        "series": max((value.n_slices for value in summaries.values() if value is not None), default=0),
        "volume": "" if volume is None else f"{volume:.3g}",
        "cells": cells,
        "changes": [_change_cell(change, measure) for change in changes],
    }


def words(name: str) -> str:
    """Return the name of an organ as words, without underscores."""
    return name.replace("_", " ")


def _cell(summary: Summary | None, form: str) -> dict[str, Any]:
    """Format a mean and its interval with the format specification ``form``; a dash if there is no value."""
    if summary is None:
        return {"text": "–", "interval": ""}
    interval = " to ".join(format(end, form) for end in summary.interval) if summary.interval else ""
    return {"text": format(summary.mean, form), "interval": interval}


def _change_cell(summary: Summary | None, measure: Measure) -> dict[str, Any]:
    """Format a change; it is good or bad if its interval over patients excludes 0.

    An interval over series instead of patients is too narrow to decide that.
    """
    certain = summary is not None and summary.interval_of == "patients"
    ends = summary.interval if certain and summary and summary.interval else (0.0, 0.0)
    low, high = sorted(measure.sign * end for end in ends)
    return {**_cell(summary, f"+{measure.form}"), "good": low > 0, "bad": high < 0}


def hu_row(evaluation: OrganEvaluation, organ: str) -> dict[str, Any]:
    """Return a row of the table of HU: mean HU at full dose, and the change from it in all other images."""
    cells = []
    for image in evaluation.images:
        mean, sd = (mean_over_cases(evaluation, image, organ, what) for what in ("mean_hu", "sd_hu"))
        bias = evaluation.change(image, organ, FULL, "mean_hu") if image != FULL else None
        text = "–" if mean is None else f"{mean:.1f}" if bias is None else f"{bias.mean:+.2f}"
        cells.append({"text": text, "sd": "–" if sd is None else f"{sd:.1f}"})
    return {"organ": words(organ), "cells": cells}
