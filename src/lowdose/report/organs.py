"""The judgement of a segmenter as files: CSV (every number), JSON (summaries), one self-contained HTML page."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

import lowdose
from lowdose.evaluation.images import FULL
from lowdose.evaluation.organ_statistics import SMALLEST_ML
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.statistics import Summary
from lowdose.report import outlines

ALL = "all organs"
DEFINITIONS = {
    "dice": "2 |A and B| / (|A| + |B|) over all slices of a series, A as drawn on the image, B as in the reference; "
    f"1 is full agreement, 0 none; no value where the reference holds less than {SMALLEST_ML:g} ml (what an image "
    "invents stands in volume_ml)",
    "volume_ml": "voxels of the organ as drawn on the image, ml",
    "reference_ml": "voxels of the organ in the reference, ml",
    "mean_hu": "mean HU of the image inside the reference's organ, edge included",
    "sd_hu": "SD of the image inside the reference's organ, HU: noise and what the organ holds",
}


def reference(judgement: OrganEvaluation) -> str:
    """What everything is compared with, in words."""
    return "the labels given" if judgement.given else f"what {judgement.segmenter} draws on the full-dose images"


def table_csv(judgement: OrganEvaluation) -> str:
    """One row an organ, image and case; nothing stands where nothing could be measured."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["case", "patient", "image", "strength", "organ", *DEFINITIONS])
    for row in judgement.rows:
        strength = f"{judgement.strength:g}" if row.image in judgement.models else ""
        numbers = [getattr(row, name) for name in DEFINITIONS]
        shown = ["" if math.isnan(number) else f"{number:.7g}" for number in numbers]
        writer.writerow([row.case, row.patient, row.image, strength, row.organ, *shown])
    return text.getvalue()


def as_json(judgement: OrganEvaluation, uids: Sequence[dict[str, object]]) -> str:
    """Definitions, checksums, summaries; UIDs appear here and nowhere else."""
    content = {
        "lowdose": lowdose.__version__,
        "task": "organs",
        "segmenter": {"name": judgement.segmenter, "sha256": judgement.sha256},
        "reference": reference(judgement),
        "definitions": DEFINITIONS,
        "models": judgement.models,
        "strength": judgement.strength,
        "device": judgement.device,
        "warnings": judgement.warnings,
        "dice": _listed(judgement, "dice"),
        "dice_change_to_low_dose": _listed(judgement, "change"),
        "hu": _hu_listed(judgement),
        "series": list(uids),
    }
    return json.dumps(content, indent=2)


def _listed(judgement: OrganEvaluation, what: str) -> list[dict[str, Any]]:
    measure = judgement.dice if what == "dice" else judgement.change
    images = judgement.images if what == "dice" else list(judgement.models)
    result = []
    for organ in (None, *judgement.judged()):
        for image in images:
            found = measure(image, organ)
            if found is not None:
                result.append({"organ": organ or ALL, "image": image, **_numbers(found)})
    return result


def _numbers(found: Summary) -> dict[str, Any]:
    """The statistics count slices; here one value is a series."""
    over = "series" if found.interval_of == "slices" else found.interval_of
    counted = {"n_series": found.n_slices, "n_patients": found.n_patients}
    return {"mean": found.mean, "sd": found.sd, **counted, "interval": found.interval, "interval_of": over}


def _hu_listed(judgement: OrganEvaluation) -> list[dict[str, Any]]:
    result = []
    for organ in _measured(judgement):
        for image in judgement.images:
            means = {name: _mean(judgement, image, organ, name) for name in ("mean_hu", "sd_hu", "reference_ml")}
            if means["mean_hu"] is not None:
                bias = judgement.change(image, organ, FULL, "mean_hu")
                change = None if bias is None or image == FULL else bias.mean
                result.append({"organ": organ, "image": image, **means, "mean_hu_change_to_full_dose": change})
    return result


def _mean(judgement: OrganEvaluation, image: str, organ: str, what: str) -> float | None:
    values = judgement.values(image, organ, what).values()
    return sum(values) / len(values) if values else None


def _measured(judgement: OrganEvaluation) -> list[str]:
    """Organs that the reference has somewhere."""
    return [name for name in judgement.names.values() if judgement.values(FULL, name, "mean_hu")]


def page(judgement: OrganEvaluation) -> str:
    """The HTML page: tables first, then pictures; nothing is loaded from outside."""
    environment = Environment(loader=PackageLoader("lowdose", "report"), autoescape=select_autoescape())
    judged = [image for image in judgement.images if image != FULL or judgement.given]
    overall = [found for found in (judgement.dice(image, None) for image in judged) if found is not None]
    return environment.get_template("organs.html").render(
        version=lowdose.__version__,
        judgement=judgement,
        reference=reference(judgement),
        definitions=DEFINITIONS,
        images=judged,
        dice=[_dice_row(judgement, organ, judged) for organ in (None, *judgement.judged())] if overall else [],
        counts=counts(overall[0]) if overall else "",
        hu_images=judgement.images,
        hu=[_hu_row(judgement, organ) for organ in _measured(judgement)],
        pictures=_pictures(judgement),
        window=str(SOFT_TISSUE),
    )


def counts(found: Summary) -> str:
    """How many series of how many patients, and what the intervals are intervals of."""
    series = f"{found.n_slices} series of {found.n_patients} patient{'s' * (found.n_patients != 1)}"
    if found.interval is None:
        return f"{series}; an interval needs two"
    what = "patients" if found.interval_of == "patients" else "series only: it says little of other patients"
    return f"{series}; below each mean its 95 % bootstrap interval over {what}"


def _dice_row(judgement: OrganEvaluation, organ: str | None, images: list[str]) -> dict[str, Any]:
    found = {image: judgement.dice(image, organ) for image in images}
    means = {image: round(value.mean, 3) for image, value in found.items() if value is not None and image != FULL}
    best = max(means.values()) if len(set(means.values())) > 1 else None
    cells = [{**_cell(value, ".3f"), "good": image in means and means[image] == best} for image, value in found.items()]
    volume = _mean(judgement, FULL, organ, "reference_ml") if organ else None
    return {
        "organ": words(organ or ALL),
        "series": max((value.n_slices for value in found.values() if value is not None), default=0),
        "volume": "" if volume is None else f"{volume:.3g}",
        "cells": cells,
        "changes": [_change_cell(judgement.change(image, organ)) for image in judgement.models],
    }


def words(name: str) -> str:
    """An organ's name to be read."""
    return name.replace("_", " ")


def _cell(found: Summary | None, form: str) -> dict[str, Any]:
    if found is None:
        return {"text": "–", "interval": ""}
    interval = " to ".join(format(end, form) for end in found.interval) if found.interval else ""
    return {"text": format(found.mean, form), "interval": interval}


def _change_cell(found: Summary | None) -> dict[str, Any]:
    """Good or bad where the interval leaves 0 out; over a few series it is too narrow to tell."""
    certain = found is not None and found.interval_of == "patients"
    low, high = found.interval if certain and found and found.interval else (0.0, 0.0)
    return {**_cell(found, "+.3f"), "good": low > 0, "bad": high < 0}


def _hu_row(judgement: OrganEvaluation, organ: str) -> dict[str, Any]:
    cells = []
    for image in judgement.images:
        mean, sd = (_mean(judgement, image, organ, what) for what in ("mean_hu", "sd_hu"))
        bias = judgement.change(image, organ, FULL, "mean_hu") if image != FULL else None
        text = "–" if mean is None else f"{mean:.1f}" if bias is None else f"{bias.mean:+.2f}"
        cells.append({"text": text, "sd": "–" if sd is None else f"{sd:.1f}"})
    return {"organ": words(organ), "cells": cells}


def _pictures(judgement: OrganEvaluation) -> list[dict[str, Any]]:
    pictures = []
    for sample in judgement.samples:
        inks = outlines.colours(sample, judgement.names)
        data = base64.b64encode(outlines.picture(sample, judgement.names, SOFT_TISSUE)).decode()
        pictures.append(
            {
                "case": sample.case,
                "position": None if sample.position is None else f"{sample.position:.1f}",
                "image": f"data:image/png;base64,{data}",
                "legend": [(words(judgement.names[number]), ink) for number, ink in inks.items()],
            }
        )
    return pictures
