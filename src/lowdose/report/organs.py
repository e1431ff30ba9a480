"""Report of an organ evaluation: CSV (every number), JSON (summaries), and one self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_statistics import SMALLEST_ML
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.io.messages import counted
from lowdose.metrics.statistics import Summary
from lowdose.report import outlines
from lowdose.report.organ_tables import (
    ALL,
    DICE,
    HD95,
    agreement_rows,
    hu_row,
    mean_over_cases,
    organs_in_reference,
    words,
)
from lowdose.version import __version__

DEFINITIONS = {
    "dice": "2 |A and B| / (|A| + |B|) over all slices of a series, A as drawn on the image, B as in the reference; "
    f"1 is full agreement, 0 none; no value where the reference holds less than {SMALLEST_ML:g} ml (what an image "
    "invents stands in volume_ml)",
    "hd95_mm": "95th percentile of the distances from the surface voxels of A to the nearest of B, or of those from B "
    "to A if it is larger, mm; in the volume where the slices of a series are a stack without gaps (a cut through an "
    "organ at the first or last slice counts as surface), else in each slice, and the mean over the slices that show "
    "the organ in both; no value without one of dice, and where the image lacks the organ",
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
        "dice": _summaries(evaluation, evaluation.images, evaluation.summary),
        "dice_change_to_low_dose": _summaries(evaluation, evaluation.models, evaluation.change),
        "hd95_mm": _summaries(evaluation, evaluation.images, partial(evaluation.summary, what="hd95_mm")),
        "hd95_change_to_low_dose": _summaries(
            evaluation, evaluation.models, partial(evaluation.change, what="hd95_mm")
        ),
        "hu": _hu_summaries(evaluation),
        "series": list(uids),
    }
    return json.dumps(content, indent=2)


def _summaries(
    evaluation: OrganEvaluation, images: Iterable[str], summary_of: Callable[[str, str | None], Summary | None]
) -> list[dict[str, Any]]:
    """List the summaries of the images, of all organs together and of each organ, where there is one."""
    result = []
    for organ in (None, *evaluation.organs_compared()):
        for image in images:
            summary = summary_of(image, organ)
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
    for organ in organs_in_reference(evaluation):
        for image in evaluation.images:
            means = {
                name: mean_over_cases(evaluation, image, organ, name) for name in ("mean_hu", "sd_hu", "reference_ml")
            }
            if means["mean_hu"] is not None:
                bias = evaluation.change(image, organ, FULL, "mean_hu")
                change = None if bias is None or image == FULL else bias.mean
                result.append({"organ": organ, "image": image, **means, "mean_hu_change_to_full_dose": change})
    return result


def page(evaluation: OrganEvaluation) -> str:
    """Return the HTML page: tables, then pictures. It is self-contained and loads no other files."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    images = [image for image in evaluation.images if image != FULL or evaluation.given]
    overall = [summary for summary in (evaluation.summary(image, None) for image in images) if summary is not None]
    return environment.get_template("organs.html").render(
        version=__version__,
        evaluation=evaluation,
        reference=reference(evaluation),
        definitions=DEFINITIONS,
        images=images,
        dice=agreement_rows(evaluation, DICE, images),
        hd95=agreement_rows(evaluation, HD95, images),
        counts=counts(overall[0]) if overall else "",
        hu_images=evaluation.images,
        hu=[hu_row(evaluation, organ) for organ in organs_in_reference(evaluation)],
        pictures=_pictures(evaluation),
        window=str(SOFT_TISSUE),
    )


def counts(summary: Summary) -> str:
    """State the number of series and patients, and what the confidence intervals are over."""
    series = f"{summary.n_slices} series of {counted(summary.n_patients, 'patient')}"
    if summary.interval is None:
        return f"{series}; an interval needs two"
    what = "patients" if summary.interval_of == "patients" else "series only: it says little of other patients"
    return f"{series}; below each mean its 95 % bootstrap interval over {what}"


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
