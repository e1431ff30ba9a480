"""Report of an evaluation with lesions: CSV (every lesion in every image), JSON (summaries), and one HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from lowdose.data_url import data_url
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.inserted_lesions import EACH, LESIONS
from lowdose.evaluation.lesion_detection import FALSE_A_SLICE, OPERATING, SIZES_MM
from lowdose.evaluation.lesion_measures import INSERTED, OBSERVED, SETTINGS
from lowdose.evaluation.lesion_table import MEASURES, LesionEvaluation
from lowdose.metrics.statistics import Summary
from lowdose.report import lesion_figures
from lowdose.report.lesion_tables import COMPARED, contrast_rows, counts, detection_rows, fidelity_rows, found_scores
from lowdose.version import __version__

DEFINITIONS = {
    "ap50, ap75": "average precision as COCO computes it, at an intersection over union of 0.5 and 0.75",
    "sensitivity": "share of the lesions found (intersection over union of 0.5) at a mean number of false detections a "
    f"slice; a lesion counts as found, in the table, by size and in pictures, at {OPERATING:g} of them in that image",
    **SETTINGS,
}
INSERTED_LESIONS = (
    f"inserted, up to {EACH} an organ and slice; "
    + "; ".join(
        f"{organ}: {kind.shape.replace('_', ' ')}, {kind.diameter_mm[0]:g} to {kind.diameter_mm[1]:g} mm, "
        f"{kind.contrast_hu[0]:g} to {kind.contrast_hu[1]:g} HU"
        for organ, kind in LESIONS.items()
    )
    + "; organs as the anatomy network draws them at full dose; the same change of HU in both doses, noise kept"
)
ANNOTATED_LESIONS = "findings that were given, in the slices that show one; diameter of a disc of the same area"


def definitions(evaluation: LesionEvaluation) -> dict[str, str]:
    """Return what the lesions are, and how each thing is measured."""
    if evaluation.annotated:
        return {"lesions": ANNOTATED_LESIONS, **DEFINITIONS, **OBSERVED}
    return {"lesions": INSERTED_LESIONS, **DEFINITIONS, **INSERTED}


def table_csv(evaluation: LesionEvaluation) -> str:
    """Return a CSV table with one row for each lesion and image; what was not measured is left empty."""
    text, writer_rows = io.StringIO(), []
    least = found_scores(evaluation)
    for row in evaluation.rows:
        edges = [f"{edge:g}" for edge in row.lesion.box]
        found = "" if not least else int(row.score >= least[row.image])
        score = f"{row.score:.4g}" if math.isfinite(row.score) else ""
        strength = f"{evaluation.strength:g}" if row.image in evaluation.models else ""
        position = "" if row.position is None else f"{row.position:g}"
        lesion = [row.lesion.organ, row.lesion.shape, f"{row.lesion.diameter_mm:.4g}", f"{row.lesion.contrast_hu:.4g}"]
        values = [f"{row.values[name]:.6g}" if name in row.values else "" for name in MEASURES]
        place = [row.case, row.patient, row.slice_, position, row.view, row.number]
        writer_rows.append([*place, *lesion, *edges, row.image, strength, found, score, *values])
    writer = csv.writer(text)
    writer.writerow(
        ["case", "patient", "slice", "position_mm", "view", "lesion", "organ", "shape", "diameter_mm", "contrast_hu",
         "top", "left", "bottom", "right", "image", "strength", "found", "score", *MEASURES]
    )  # fmt: skip
    writer.writerows(writer_rows)
    return text.getvalue()


def as_json(evaluation: LesionEvaluation, uids: Sequence[dict[str, object]]) -> str:
    """Return definitions, checksums and summaries as JSON, the only file of the report that holds UIDs."""
    figures = evaluation.figures
    others = [image for image in evaluation.images if image != FULL]
    content = {
        "lowdose": __version__,
        "task": "lesions",
        "definitions": definitions(evaluation),
        "models": evaluation.models,
        "detector": evaluation.detector or None,
        "lesions": len(evaluation.of_image(FULL)),
        "views": len({row.view for row in evaluation.rows}),
        "draws": None if evaluation.annotated else evaluation.draws,
        "seed": None if evaluation.annotated else evaluation.seed,
        "strength": evaluation.strength,
        "device": evaluation.device,
        "warnings": evaluation.warnings,
        "detection": None if figures is None else _estimates(figures.values),
        "detection_change_to_low_dose": None if figures is None else _estimates(figures.changes, but=LOW),
        "detection_resampled": None if figures is None else figures.resampled,
        "measures": _summaries(evaluation, evaluation.images, None, MEASURES),
        "change_to_full_dose": _summaries(evaluation, others, FULL, COMPARED),
        "change_to_low_dose": _summaries(evaluation, list(evaluation.models), LOW, MEASURES),
        "series": list(uids),
    }
    return json.dumps(content, indent=2)


def _estimates(by_image: Any, but: str = "") -> list[dict[str, Any]]:
    """List figures with the ends of their intervals; what could not be measured is null."""
    return [
        {"image": image, "figure": name, "value": _finite(value), "interval": _interval(low, high)}
        for image, named in by_image.items()
        if image != but
        for name, (value, low, high) in named.items()
    ]


def _interval(low: float, high: float) -> list[float] | None:
    return None if math.isnan(low) else [low, high]


def _finite(value: float) -> float | str | None:
    """Replace NaN by null and infinity, which JSON lacks, by text: the PSNR of two identical images is infinite."""
    return None if math.isnan(value) else value if math.isfinite(value) else str(value)


def _summaries(
    evaluation: LesionEvaluation, images: Sequence[str], before: str | None, measures: Sequence[str]
) -> list[dict[str, Any]]:
    """List the summaries of measures, or of their differences from an image, where there are any."""
    result = []
    for image in images:
        for name in measures:
            found = evaluation.summary(image, name) if before is None else evaluation.change(image, name, before)
            if found is not None:
                result.append({"image": image, "measure": name, **_fields(found)})
    return result


def _fields(summary: Summary) -> dict[str, Any]:
    counted = {"n_slices": summary.n_slices, "n_patients": summary.n_patients}
    interval = {"interval": summary.interval, "interval_of": summary.interval_of}
    return {"mean": _finite(summary.mean), "sd": summary.sd, **counted, **interval}


def page(evaluation: LesionEvaluation) -> str:
    """Return the HTML page: tables, plots, then pictures. It is self-contained and loads no other files."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    figures = evaluation.figures
    return environment.get_template("lesion_evaluation.html").render(
        version=__version__,
        evaluation=evaluation,
        definitions=definitions(evaluation),
        counts=counts(evaluation),
        detection=detection_rows(evaluation),
        operating=OPERATING,
        froc=figures and data_url(lesion_figures.free_response_plot(evaluation, FALSE_A_SLICE)),
        sizes=figures and data_url(lesion_figures.size_plot(evaluation, SIZES_MM)),
        contrast=contrast_rows(evaluation),
        fidelity=fidelity_rows(evaluation),
        pictures=[
            {"title": title, "image": data_url(lesion_figures.crops(evaluation, samples))}
            for title, samples in lesion_figures.chosen(evaluation).items()
        ],
    )
