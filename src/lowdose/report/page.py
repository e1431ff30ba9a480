"""HTML page of an image evaluation. It is self-contained and loads no other files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL, LOW, ImageEvaluation
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.io.messages import counted
from lowdose.metrics.statistics import Summary
from lowdose.report import figures, words, words_page
from lowdose.report.summary import FIDELITY, SPECTRUM, define, mean_spectra
from lowdose.version import __version__

HIGHER_IS_BETTER = {"rmse": False, "psnr": True, "ssim": True, "fsim": True, "vif": True}


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
        spectra=[{"case": case, "picture": data_url(figures.noise_spectra(c))} for case, c in mean_spectra(evaluation)],
        spectrum_definition=SPECTRUM,
        noise_kept=evaluation.noise_kept,
        bias=_bias(evaluation),
        pictures=pictures,
        words=words_page.section(readings, SOFT_TISSUE),
        word_lead=words_page.lead(readings[0].vocabulary) if readings else "",
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
    slices, patients = counted(summary.n_slices, "slice"), counted(summary.n_patients, "patient")
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
