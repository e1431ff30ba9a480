"""Report of an organ evaluation: CSV (every number), JSON (summaries), and one self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_statistics import SMALLEST_ML
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.statistics import Summary
from lowdose.report import outlines
from lowdose.version import __version__

ALL = "all organs"
"""Name of the mean over all organs of a case."""

DEFINITIONS = {
    "dice": "2 |A and B| / (|A| + |B|) over all slices of a series, A as drawn on the image, B as in the reference; "
    f"1 is full agreement, 0 none; no value where the reference holds less than {SMALLEST_ML:g} ml (what an image "
    "invents stands in volume_ml)",
    "volume_ml": "voxels of the organ as drawn on the image, ml",
    "reference_ml": "voxels of the organ in the reference, ml",
    "mean_hu": "mean HU of the image inside the reference's organ, edge included",
    "sd_hu": "SD of the image inside the reference's organ, HU: noise and what the organ holds",
}


def reference(evaluation: OrganEvaluation) -> str:
    """Describe the reference that all images are compared with."""
    return "the labels given" if evaluation.given else f"what {evaluation.segmenter} draws on the full-dose images"


def table_csv(evaluation: OrganEvaluation) -> str:
    """Return a CSV table with one row for each organ, image and case; NaN is left empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["case", "patient", "image", "strength", "organ", *DEFINITIONS])
    for row in evaluation.rows:
        strength = f"{evaluation.strength:g}" if row.image in evaluation.models else ""
        numbers = [getattr(row, name) for name in DEFINITIONS]
        shown = ["" if math.isnan(number) else f"{number:.7g}" for number in numbers]
        writer.writerow([row.case, row.patient, row.image, strength, row.organ, *shown])
    return text.getvalue()


def as_json(evaluation: OrganEvaluation, uids: Sequence[dict[str, object]]) -> str:
    """Return definitions, checksums and summaries as JSON, the only file of the report that holds UIDs."""
    content = {
        "lowdose": __version__,
        "task": "organs",
        "segmenter": {"name": evaluation.segmenter, "sha256": evaluation.sha256},
        "reference": reference(evaluation),
        "definitions": DEFINITIONS,
        "models": evaluation.models,
        "strength": evaluation.strength,
        "device": evaluation.device,
        "warnings": evaluation.warnings,
        "dice": _dice_summaries(evaluation, "dice"),
        "dice_change_to_low_dose": _dice_summaries(evaluation, "change"),
        "hu": _hu_summaries(evaluation),
        "series": list(uids),
    }
    return json.dumps(content, indent=2)


def _dice_summaries(evaluation: OrganEvaluation, what: str) -> list[dict[str, Any]]:
    """List the summaries of Dice, or of its change from low dose, for all organs together and for each organ."""
    measure = evaluation.dice if what == "dice" else evaluation.change
    images = evaluation.images if what == "dice" else list(evaluation.models)
    result = []
    for organ in (None, *evaluation.organs_compared()):
        for image in images:
            summary = measure(image, organ)
            if summary is not None:
                result.append({"organ": organ or ALL, "image": image, **_summary_fields(summary)})
    return result


def _summary_fields(summary: Summary) -> dict[str, Any]:
    """Return a summary with "slices", the unit of ``Summary``, renamed to "series", the unit of these values."""
    over = "series" if summary.interval_of == "slices" else summary.interval_of
    counted = {"n_series": summary.n_slices, "n_patients": summary.n_patients}
    return {"mean": summary.mean, "sd": summary.sd, **counted, "interval": summary.interval, "interval_of": over}


def _hu_summaries(evaluation: OrganEvaluation) -> list[dict[str, Any]]:
    """List mean HU, SD, volume and change of the mean HU from full dose, for each organ and image."""
    result = []
    for organ in _organs_in_reference(evaluation):
        for image in evaluation.images:
            means = {name: _mean(evaluation, image, organ, name) for name in ("mean_hu", "sd_hu", "reference_ml")}
            if means["mean_hu"] is not None:
                bias = evaluation.change(image, organ, FULL, "mean_hu")
                change = None if bias is None or image == FULL else bias.mean
                result.append({"organ": organ, "image": image, **means, "mean_hu_change_to_full_dose": change})
    return result


def _mean(evaluation: OrganEvaluation, image: str, organ: str, what: str) -> float | None:
    """Return the mean of a statistic over the cases; None if no case has it."""
    values = evaluation.values(image, organ, what).values()
    return sum(values) / len(values) if values else None


def _organs_in_reference(evaluation: OrganEvaluation) -> list[str]:
    """Return the organs that occur in the reference of some case."""
    return [name for name in evaluation.names.values() if evaluation.values(FULL, name, "mean_hu")]


def page(evaluation: OrganEvaluation) -> str:
    """Return the HTML page: tables, then pictures. It is self-contained and loads no other files."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    images = [image for image in evaluation.images if image != FULL or evaluation.given]
    overall = [summary for summary in (evaluation.dice(image, None) for image in images) if summary is not None]
    return environment.get_template("organs.html").render(
        version=__version__,
        evaluation=evaluation,
        reference=reference(evaluation),
        definitions=DEFINITIONS,
        images=images,
        dice=[_dice_row(evaluation, organ, images) for organ in (None, *evaluation.organs_compared())]
        if overall
        else [],
        counts=counts(overall[0]) if overall else "",
        hu_images=evaluation.images,
        hu=[_hu_row(evaluation, organ) for organ in _organs_in_reference(evaluation)],
        pictures=_pictures(evaluation),
        window=str(SOFT_TISSUE),
    )


def counts(summary: Summary) -> str:
    """State the number of series and patients, and what the confidence intervals are over."""
    series = f"{summary.n_slices} series of {summary.n_patients} patient{'s' * (summary.n_patients != 1)}"
    if summary.interval is None:
        return f"{series}; an interval needs two"
    what = "patients" if summary.interval_of == "patients" else "series only: it says little of other patients"
    return f"{series}; below each mean its 95 % bootstrap interval over {what}"


def _dice_row(evaluation: OrganEvaluation, organ: str | None, images: list[str]) -> dict[str, Any]:
    """Return a row of the table of Dice, for one organ or the mean over all; the best image but full dose is marked."""
    summaries = {image: evaluation.dice(image, organ) for image in images}
    means = {image: round(value.mean, 3) for image, value in summaries.items() if value is not None and image != FULL}
    best = max(means.values()) if len(set(means.values())) > 1 else None
    cells = [
        {**_cell(value, ".3f"), "good": image in means and means[image] == best} for image, value in summaries.items()
    ]
    volume = _mean(evaluation, FULL, organ, "reference_ml") if organ else None
    return {
        "organ": words(organ or ALL),
        "series": max((value.n_slices for value in summaries.values() if value is not None), default=0),
        "volume": "" if volume is None else f"{volume:.3g}",
        "cells": cells,
        "changes": [_change_cell(evaluation.change(image, organ)) for image in evaluation.models],
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


def _change_cell(summary: Summary | None) -> dict[str, Any]:
    """Format a change; it is good or bad if its interval over patients excludes 0.

    An interval over series instead of patients is too narrow to decide that.
    """
    certain = summary is not None and summary.interval_of == "patients"
    low, high = summary.interval if certain and summary and summary.interval else (0.0, 0.0)
    return {**_cell(summary, "+.3f"), "good": low > 0, "bad": high < 0}


def _hu_row(evaluation: OrganEvaluation, organ: str) -> dict[str, Any]:
    """Return a row of the table of HU: mean HU at full dose, and the change from it in all other images."""
    cells = []
    for image in evaluation.images:
        mean, sd = (_mean(evaluation, image, organ, what) for what in ("mean_hu", "sd_hu"))
        bias = evaluation.change(image, organ, FULL, "mean_hu") if image != FULL else None
        text = "–" if mean is None else f"{mean:.1f}" if bias is None else f"{bias.mean:+.2f}"
        cells.append({"text": text, "sd": "–" if sd is None else f"{sd:.1f}"})
    return {"organ": words(organ), "cells": cells}


def _pictures(evaluation: OrganEvaluation) -> list[dict[str, Any]]:
    """Draw the sample slice of each case with the outlines and the legend of its organs."""
    pictures = []
    for sample in evaluation.samples:
        colours = outlines.colours(sample, evaluation.names)
        pictures.append(
            {
                "case": sample.case,
                "position": None if sample.position is None else f"{sample.position:.1f}",
                "image": data_url(outlines.picture(sample, evaluation.names, SOFT_TISSUE)),
                "legend": [(words(evaluation.names[number]), colour) for number, colour in colours.items()],
            }
        )
    return pictures
