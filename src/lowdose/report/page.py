"""Report of an image evaluation: CSV (every number), JSON (summaries with definitions), a self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL, LOW, ImageEvaluation
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.statistics import Summary, paired_difference
from lowdose.report import figures, words, words_page
from lowdose.version import __version__

FIDELITY = ("rmse", "psnr", "ssim", "fsim", "vif")
HIGHER_IS_BETTER = {"rmse": False, "psnr": True, "ssim": True, "fsim": True, "vif": True}


def table_csv(evaluation: ImageEvaluation) -> str:
    """Return a CSV table with one row for each measured value, with the definition of its metric."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["case", "patient", "position_mm", "image", "strength", "metric", "value", "definition"])
    for row in evaluation.rows:
        position = "" if row.position is None else f"{row.position:g}"
        strength = f"{evaluation.strength:g}" if row.image in evaluation.models else ""
        numbers = [row.metric, f"{row.value:.9g}", define(evaluation, row.metric)]
        writer.writerow([row.case, row.patient, position, row.image, strength, *numbers])
    return text.getvalue()


def define(evaluation: ImageEvaluation, metric: str) -> str:
    """Describe a metric, with the window, data range and variant that it was computed with."""
    if metric in FIDELITY:
        return evaluation.profile.label(metric)
    if metric == "noise SD":
        return "mode of the local SD in soft tissue, HU"
    if metric == "noise f_av":
        return "mean frequency of the noise power spectrum, 1-D radial weighting, 1/mm"
    return f"{metric}: mean HU of an eroded region drawn on the full-dose image, HU"


def summaries(evaluation: ImageEvaluation) -> list[dict[str, Any]]:
    """Return mean, SD and interval of every metric and image, for each case and over all cases."""
    result = []
    for metric in evaluation.metrics():
        for image in evaluation.images:
            for case in [*evaluation.cases(), None]:
                summary = evaluation.summary(metric, image, case)
                if summary is not None:
                    fields = {key: _finite(value) for key, value in asdict(summary).items()}
                    result.append({"case": case or "all", "image": image, "metric": metric, **fields})
    return result


def gains(evaluation: ImageEvaluation) -> list[dict[str, Any]]:
    """Return summaries of the per-slice difference from low dose, which varies far less than the values themselves."""
    result = []
    for metric in FIDELITY:
        before, patients = evaluation.values(metric, LOW)
        for image in evaluation.models:
            after, _ = evaluation.values(metric, image)
            if after:
                difference = asdict(paired_difference(after, before, patients, seed=0))
                fields = {key: _finite(value) for key, value in difference.items()}
                result.append({"image": image, "metric": metric, **fields})
    return result


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON lacks, by text; the PSNR of two identical images is infinite."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_json(evaluation: ImageEvaluation, uids: list[dict[str, object]]) -> str:
    """Return definitions, checksums and summaries as JSON, the only file of the report that holds UIDs."""
    content = {
        "lowdose": __version__,
        "profile": evaluation.profile.describe(),
        "definitions": {metric: define(evaluation, metric) for metric in evaluation.metrics()},
        "models": evaluation.models,
        "strength": evaluation.strength,
        "device": evaluation.device,
        "seconds_per_slice": evaluation.seconds,
        "warnings": evaluation.warnings,
        "summaries": summaries(evaluation),
        "gains_over_low_dose": gains(evaluation),
        "series": uids,
    }
    return json.dumps(content, indent=2)


def page(evaluation: ImageEvaluation, readings: Sequence[WordReading] = ()) -> str:
    """Return the HTML page: tables, pictures, words of slices. It is self-contained and loads no other files."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    window = evaluation.profile.window
    pictures = [
        {
            "case": sample.case,
            "position": None if sample.position is None else f"{sample.position:.1f}",
            "rows": [
                data_url(figures.compare(sample, window)),
                data_url(figures.zoom(sample, window)),
                data_url(figures.differences(sample)),
            ],
        }
        for sample in evaluation.samples
    ]
    return environment.get_template("page.html").render(
        version=__version__,
        profile=f"Profile {evaluation.profile.name}: {evaluation.profile.note}",
        headings={metric: evaluation.profile.heading(metric) for metric in FIDELITY},
        definitions={metric: define(evaluation, metric) for metric in FIDELITY if metric in evaluation.metrics()},
        tables=[_table(evaluation, case) for case in _table_cases(evaluation)],
        noise=_noise(evaluation),
        bias=_bias(evaluation),
        pictures=pictures,
        words=words_page.section(readings, SOFT_TISSUE),
        word_definitions=words.DEFINITIONS,
        models=evaluation.models,
        seconds=evaluation.seconds,
        strength=evaluation.strength,
        device=evaluation.device,
        warnings=evaluation.warnings,
        difference=f"±{figures.DIFFERENCE_HU:g} HU",
        window=str(window),
    )


def _table_cases(evaluation: ImageEvaluation) -> list[str | None]:
    """Return the cases that get a table; None, if there are several, stands for all of them together."""
    cases: list[str | None] = list(evaluation.cases())
    return [*cases, None] if len(cases) > 1 else cases


def _table(evaluation: ImageEvaluation, case: str | None) -> dict[str, Any]:
    """Return the table of the fidelity metrics of one case, or of all cases together."""
    metrics = [metric for metric in FIDELITY if metric in evaluation.metrics()]
    summary_of = {
        image: {metric: evaluation.summary(metric, image, case) for metric in metrics}
        for image in evaluation.images
        if image != FULL
    }
    first = next((s for row in summary_of.values() for s in row.values() if s is not None), None)
    return {
        "title": case or "all series",
        "metrics": metrics,
        "counts": counts(first) if first else "",
        "rows": [
            {"image": image, "cells": [_cell(row[m], _is_best(summary_of, image, m)) for m in metrics]}
            for image, row in summary_of.items()
        ],
    }


def counts(summary: Summary) -> str:
    """State the number of slices and patients, and what the confidence interval is over."""
    slices = f"{summary.n_slices} slice{'s' * (summary.n_slices != 1)}"
    patients = f"{summary.n_patients} patient{'s' * (summary.n_patients != 1)}"
    if summary.interval is None:
        return f"{slices} of {patients}; too few for an interval"
    what = "patients" if summary.interval_of == "patients" else "slices only: it says nothing of other patients"
    return f"{slices} of {patients}; 95 % bootstrap interval over {what}"


def _is_best(summary_of: dict[str, dict[str, Summary | None]], image: str, metric: str) -> bool:
    """Return whether an image has the best mean of a metric; False if it is the only image with one."""
    means = {name: row[metric].mean for name, row in summary_of.items() if row[metric] is not None}  # type: ignore[union-attr]
    if image not in means or len(means) < 2:
        return False
    best = max if HIGHER_IS_BETTER[metric] else min
    return means[image] == best(means.values())


def _cell(summary: Summary | None, best: bool) -> dict[str, Any]:
    """Format mean, SD and interval; a dash if there is no value."""
    if summary is None:
        return {"text": "–", "interval": "", "best": False}
    interval = f"{summary.interval[0]:.4g} – {summary.interval[1]:.4g}" if summary.interval else ""
    return {
        "text": f"{summary.mean:.4g}" + (f" ± {summary.sd:.2g}" if summary.sd is not None else ""),
        "interval": interval,
        "best": best,
    }


def _noise(evaluation: ImageEvaluation) -> list[dict[str, str]]:
    """Return a row for each case and image: mean noise SD and mean noise frequency."""
    rows = []
    for case in evaluation.cases():
        for image in evaluation.images:
            sd, f_av = (evaluation.summary(name, image, case) for name in ("noise SD", "noise f_av"))
            rows.append(
                {
                    "case": case,
                    "image": image,
                    "sd": f"{sd.mean:.1f}" if sd else "–",
                    "f_av": f"{f_av.mean:.3f}" if f_av else "–",
                }
            )
    return rows


def _bias(evaluation: ImageEvaluation) -> list[dict[str, Any]]:
    """Return a table of HU bias for each reference, low dose and full dose.

    It has a row for each image and a column for each tissue; a cell is (mean change, change of the worst slice), HU.
    """
    tables = []
    for reference in (LOW, FULL):
        tissues = [m.split(", ", 1)[1] for m in evaluation.metrics() if m.startswith(f"bias to {reference}, ")]
        rows = []
        for image in evaluation.images:
            cells = [_bias_cell(evaluation, f"bias to {reference}, {tissue}", image) for tissue in tissues]
            if any(cell is not None for cell in cells):
                rows.append({"image": image, "cells": cells})
        if rows:
            tables.append({"reference": reference, "tissues": tissues, "rows": rows})
    return tables


def _bias_cell(evaluation: ImageEvaluation, metric: str, image: str) -> tuple[str, str] | None:
    """Format the mean change and that of the worst slice; None if nothing was measured."""
    values, _ = evaluation.values(metric, image)
    return (f"{sum(values) / len(values):+.2f}", f"{max(values, key=abs):+.2f}") if values else None
