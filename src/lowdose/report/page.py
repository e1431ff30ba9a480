"""An evaluation as files: CSV (every number), JSON (summaries with their definitions), one self-contained HTML page."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

import lowdose
from lowdose.evaluation.images import FULL, LOW, ImageEvaluation
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.statistics import Summary, paired_difference
from lowdose.report import figures, words, words_page

FIDELITY = ("rmse", "psnr", "ssim", "fsim", "vif")
HIGHER_IS_BETTER = {"rmse": False, "psnr": True, "ssim": True, "fsim": True, "vif": True}


def table_csv(evaluation: ImageEvaluation) -> str:
    """One row a number, with the definition that makes it comparable."""
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
    """Window, range and flavour of a metric, in words."""
    if metric in FIDELITY:
        return evaluation.profile.label(metric)
    if metric == "noise SD":
        return "mode of the local SD in soft tissue, HU"
    if metric == "noise f_av":
        return "mean frequency of the noise power spectrum, 1-D radial weighting, 1/mm"
    return f"{metric}: mean HU of an eroded region drawn on the full-dose image, HU"


def summaries(evaluation: ImageEvaluation) -> list[dict[str, Any]]:
    """Mean, SD and interval per case, per patient and over everything, for every image and metric."""
    result = []
    for metric in evaluation.metrics():
        for image in evaluation.images:
            for case in [*evaluation.cases(), None]:
                found = evaluation.summary(metric, image, case)
                if found is not None:
                    numbers = {key: _finite(value) for key, value in asdict(found).items()}
                    result.append({"case": case or "all", "image": image, "metric": metric, **numbers})
    return result


def gains(evaluation: ImageEvaluation) -> list[dict[str, Any]]:
    """Per-slice differences to the low-dose image, which vary far less between slices than the values do."""
    result = []
    for metric in FIDELITY:
        before, patients = evaluation.values(metric, LOW)
        for image in evaluation.models:
            after, _ = evaluation.values(metric, image)
            if after:
                found = asdict(paired_difference(after, before, patients, seed=0))
                result.append({"image": image, "metric": metric, **{k: _finite(v) for k, v in found.items()}})
    return result


def _finite(value: Any) -> Any:
    """JSON has no infinity: an identical pair's PSNR is written as the word."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_json(evaluation: ImageEvaluation, uids: list[dict[str, object]]) -> str:
    """Definitions, checksums, summaries; UIDs appear here and nowhere else."""
    content = {
        "lowdose": lowdose.__version__,
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
    """The HTML page: tables first, then pictures, then the words of slices; nothing is loaded from outside."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    window = evaluation.profile.window
    pictures = [
        {
            "case": sample.case,
            "position": None if sample.position is None else f"{sample.position:.1f}",
            "rows": [
                _embed(figures.compare(sample, window)),
                _embed(figures.zoom(sample, window)),
                _embed(figures.differences(sample)),
            ],
        }
        for sample in evaluation.samples
    ]
    return environment.get_template("page.html").render(
        version=lowdose.__version__,
        profile=f"Profile {evaluation.profile.name}: {evaluation.profile.note}",
        definitions={metric: define(evaluation, metric) for metric in FIDELITY if metric in evaluation.metrics()},
        tables=[_table(evaluation, case) for case in _parts(evaluation)],
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


def _parts(evaluation: ImageEvaluation) -> list[str | None]:
    cases: list[str | None] = list(evaluation.cases())
    return [*cases, None] if len(cases) > 1 else cases


def _embed(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _table(evaluation: ImageEvaluation, case: str | None) -> dict[str, Any]:
    metrics = [metric for metric in FIDELITY if metric in evaluation.metrics()]
    found = {
        image: {metric: evaluation.summary(metric, image, case) for metric in metrics}
        for image in evaluation.images
        if image != FULL
    }
    first = next((s for row in found.values() for s in row.values() if s is not None), None)
    return {
        "title": case or "all series",
        "metrics": metrics,
        "counts": counts(first) if first else "",
        "rows": [
            {"image": image, "cells": [_cell(row[m], _best(found, image, m)) for m in metrics]}
            for image, row in found.items()
        ],
    }


def counts(found: Summary) -> str:
    """How many slices of how many patients, and what the interval is an interval of."""
    slices = f"{found.n_slices} slice{'s' * (found.n_slices != 1)}"
    patients = f"{found.n_patients} patient{'s' * (found.n_patients != 1)}"
    if found.interval is None:
        return f"{slices} of {patients}; too few for an interval"
    what = "patients" if found.interval_of == "patients" else "slices only: it says nothing of other patients"
    return f"{slices} of {patients}; 95 % bootstrap interval over {what}"


def _best(found: dict[str, dict[str, Summary | None]], image: str, metric: str) -> bool:
    means = {name: row[metric].mean for name, row in found.items() if row[metric] is not None}  # type: ignore[union-attr]
    if image not in means or len(means) < 2:
        return False
    choose = max if HIGHER_IS_BETTER[metric] else min
    return means[image] == choose(means.values())


def _cell(found: Summary | None, best: bool) -> dict[str, Any]:
    if found is None:
        return {"text": "–", "interval": "", "best": False}
    low_high = f"{found.interval[0]:.4g} – {found.interval[1]:.4g}" if found.interval else ""
    return {
        "text": f"{found.mean:.4g}" + (f" ± {found.sd:.2g}" if found.sd is not None else ""),
        "interval": low_high,
        "best": best,
    }


def _noise(evaluation: ImageEvaluation) -> list[dict[str, str]]:
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
    """One table a reference: a row an image, a column a tissue, each cell (mean change, worst slice)."""
    tables = []
    for reference in (LOW, FULL):
        tissues = [m.split(", ", 1)[1] for m in evaluation.metrics() if m.startswith(f"bias to {reference}, ")]
        rows = []
        for image in evaluation.images:
            cells = [_change(evaluation, f"bias to {reference}, {tissue}", image) for tissue in tissues]
            if any(cell is not None for cell in cells):
                rows.append({"image": image, "cells": cells})
        if rows:
            tables.append({"reference": reference, "tissues": tissues, "rows": rows})
    return tables


def _change(evaluation: ImageEvaluation, metric: str, image: str) -> tuple[str, str] | None:
    values, _ = evaluation.values(metric, image)
    return (f"{sum(values) / len(values):+.2f}", f"{max(values, key=abs):+.2f}") if values else None
