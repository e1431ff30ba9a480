"""Numbers of an image evaluation as files: CSV with every number, JSON with summaries and definitions."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lowdose.evaluation.images import LOW, ImageEvaluation
from lowdose.evaluation.noise_spectra import MOST, SIDE
from lowdose.metrics.noise_frequency import Spectrum
from lowdose.metrics.statistics import paired_difference
from lowdose.version import __version__

FIDELITY = ("rmse", "psnr", "ssim", "fsim", "vif")
SPECTRUM = (
    f"Noise power spectrum in the flattest squares of {SIDE} x {SIDE} pixels of soft tissue, up to {MOST} a slice, the "
    "same ones in every image; mean over slices"
)


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


def mean_spectra(evaluation: ImageEvaluation) -> Iterator[tuple[str, dict[str, Spectrum]]]:
    """Yield the noise power spectra of all images of each case that has any."""
    for case in evaluation.cases():
        found = {image: evaluation.spectrum(case, image) for image in evaluation.images}
        curves = {image: spectrum for image, spectrum in found.items() if spectrum is not None}
        if curves:
            yield case, curves


def _spectra_json(evaluation: ImageEvaluation) -> dict[str, Any]:
    spectra = {
        case: {
            image: {"frequency_per_mm": [*map(float, curve.frequency)], "hu2_mm2": [*map(float, curve.power)]}
            for image, curve in curves.items()
        }
        for case, curves in mean_spectra(evaluation)
    }
    return {"definition": SPECTRUM, "spectra": spectra}


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
        "noise_kept": evaluation.noise_kept,
        "noise_power_spectra": _spectra_json(evaluation),
        "series": uids,
    }
    return json.dumps(content, indent=2)
