"""Tables of the page of an evaluation with lesions: how well they are found, and how they look."""

from __future__ import annotations

import math
from typing import Any

from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.lesion_detection import OPERATING, Estimate, sensitivity_name
from lowdose.evaluation.lesion_measures import FIDELITY, TEXTURE
from lowdose.evaluation.lesion_table import LesionEvaluation
from lowdose.io.messages import counted
from lowdose.metrics.statistics import Summary

SHOWN = ("ap50", "ap75", sensitivity_name(OPERATING), sensitivity_name(2.0))
"""Figures of detection in the table; the rest is plotted."""
COMPARED = ("contrast_kept", *TEXTURE)
"""Measures of a lesion whose difference from full dose is taken."""
FORMS = {
    "contrast_kept": ".3f", "correlation": "+.3f", "homogeneity": "+.4f", "energy": "+.4f",
    "roi_rmse": ".1f", "roi_psnr": ".2f", "roi_ssim": ".3f", "rmse": ".1f", "psnr": ".2f", "ssim": ".3f",
}  # fmt: skip


def found_scores(evaluation: LesionEvaluation) -> dict[str, float]:
    """Return by image the score from which a lesion counts as found; nothing without a detector."""
    return {image: evaluation.threshold(image, OPERATING) for image in evaluation.detections}


def counts(evaluation: LesionEvaluation) -> str:
    """State how many lesions were measured, and what intervals are over."""
    rows = evaluation.of_image(FULL)
    slices, patients = len({(row.case, row.slice_) for row in rows}), len({row.patient for row in rows})
    by_organ = [row.lesion.organ for row in rows]
    organs = ", ".join(
        f"{by_organ.count(organ)} {'' if evaluation.annotated else 'in the '}{organ}"
        for organ in dict.fromkeys(by_organ)
    )
    where = f"{counted(slices, 'slice')} of {counted(patients, 'patient')}"
    return f"{counted(len(rows), 'lesion')} ({organs}) in {where}"


def detection_rows(evaluation: LesionEvaluation) -> list[dict[str, Any]]:
    """Return a row for each image with the figures in ``SHOWN``, then their change from low dose."""
    if evaluation.figures is None:
        return []
    values, changes = evaluation.figures.values, evaluation.figures.changes
    best = {name: _best({image: values[image][name].value for image in (LOW, *evaluation.models)}) for name in SHOWN}
    rows = []
    for image in evaluation.images:
        cells = [_estimate_cell(values[image][name], ".3f", image in best[name]) for name in SHOWN]
        change = changes[image]["ap50"] if image != LOW else None
        rows.append({"image": image, "cells": cells, "change": change and _change_cell(change)})
    return rows


def _best(values: dict[str, float]) -> list[str]:
    """Return the image with the highest value, unless all have the same to three digits."""
    rounded = {image: round(value, 3) for image, value in values.items()}
    top = max(rounded.values())
    return [image for image, value in rounded.items() if value == top] if len(set(rounded.values())) > 1 else []


def _estimate_cell(estimate: Estimate, form: str, good: bool = False) -> dict[str, Any]:
    value, low, high = estimate
    interval = "" if math.isnan(low) else f"{low:{form}} to {high:{form}}"
    return {"text": "–" if math.isnan(value) else f"{value:{form}}", "interval": interval, "good": good}


def _change_cell(change: Estimate) -> dict[str, Any]:
    """Format a change, marked where its interval excludes 0."""
    return {**_estimate_cell(change, "+.3f", change.low > 0), "bad": change.high < 0}


def contrast_rows(evaluation: LesionEvaluation) -> list[dict[str, Any]]:
    """Return a row for each image with the contrast kept and the change of texture from full dose."""
    rows = []
    for image in evaluation.images:
        changes = [None if image == FULL else evaluation.change(image, name) for name in TEXTURE]
        measured = zip(COMPARED, [evaluation.summary(image, "contrast_kept"), *changes], strict=True)
        rows.append({"image": image, "cells": [_summary_cell(value, FORMS[name]) for name, value in measured]})
    return rows


def fidelity_rows(evaluation: LesionEvaluation) -> list[dict[str, Any]]:
    """Return a row for each image but full dose: RMSE, PSNR and SSIM of the regions, then of whole slices."""
    names = (*(f"roi_{name}" for name in FIDELITY), *FIDELITY)
    return [
        {"image": image, "cells": [_summary_cell(evaluation.summary(image, name), FORMS[name]) for name in names]}
        for image in (LOW, *evaluation.models)
    ]


def _summary_cell(summary: Summary | None, form: str) -> dict[str, str]:
    if summary is None:
        return {"text": "–", "interval": ""}
    interval = " to ".join(format(end, form) for end in summary.interval) if summary.interval else ""
    return {"text": format(summary.mean, form), "interval": interval}
