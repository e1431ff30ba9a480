"""Measure how much each model removes from slices of every dose, and how that changes their HU.

    python -m experiments.zoo.full_dose OUT [--model NAME ...] [--normal NORMAL ...] [--pairs PAIRS ...]

The question is whether a model's strength falls by itself with the noise. NORMAL: folders of normal-dose series, of
which slices are simulated at 5 to 100 % (100 % as they are). PAIRS: folders of real quarter and full dose; both go
through the models. Removed: SD of the denoised image less its input, over soft tissue. HU change: mean over the cores
of each tissue, as segmented on full dose, against the input of that dose. PSNR on [-160, 240] HU against full dose.
Prints Markdown and writes OUT/full_dose.json (a row for each slice, dose and image).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from experiments.common import markdown
from experiments.common.pairs import open_pair_folders
from experiments.zoo import lesion_slices, scans, tables
from experiments.zoo.tables import Row
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import AIR, HU, Mask, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.hu_bias import TISSUES, tissue_means
from lowdose.metrics.noise_estimate import noise_level, soft_tissue
from lowdose.models.load import LoadedModel

DOSES = (0.05, 0.1, 0.25, 0.5, 0.7, 1.0)
QUARTER = 0.25
MIN_PIXELS = 400


def measure_slice(item: Slice, full: HU, dose: float, models: Sequence[LoadedModel]) -> Iterator[Row]:
    """Yield a row for each model on one slice at one dose; ``full`` is the same slice at full dose."""
    pixel = item.mean_pixel_mm or 1.0
    soft = binary_erosion(soft_tissue(np.where(item.valid, full, AIR), pixel)[1] & item.valid, iterations=3)
    level = noise_level(item.hu, item.valid, pixel)
    if soft.sum() < MIN_PIXELS or level is None:
        return
    before = _psnr(item.hu, full, item.valid)
    for model in models:
        made = denoise_slice(model, item, 1.0)
        means = tissue_means(full, made, item.hu, valid=item.valid)
        yield {
            "image": model.name,
            "dose": dose,
            "noise": level.sd,
            "removed": float((made - item.hu)[soft].std()),
            "gain": None if dose == 1.0 else _psnr(made, full, item.valid) - before,
            "change": {tissue: after - was for tissue, (after, was) in means.items()},
        }


def _psnr(image: HU, full: HU, valid: Mask) -> float:
    a, b = (SOFT_TISSUE.apply(np.where(valid, hu, AIR)) for hu in (image, full))
    return psnr(a, b, 1.0)


def measure_simulated(found: Sequence[scans.PatientSeries], count: int, models: Sequence[LoadedModel]) -> Iterator[Row]:
    """Yield the rows of ``count`` slices, patients in turn, at every dose."""
    usable = (turn for turn in scans.patients_in_turn(found) if scans.describe_scan(turn[0]))
    for item, index in islice(usable, count):
        scan = scans.describe_scan(item)
        calibration = lesion_slices.try_calibration(scan) if scan else None
        if scan is None or calibration is None:
            continue
        whole = item.series.read(index)
        air = whole.in_air
        for dose in DOSES:
            hu = calibration.simulator.simulate(
                air,
                scan.pixel_mm,
                exposure=calibration.exposures[index],
                dose=dose,
                seed=lesion_slices.SEED,
                key=f"{item.name} {index}",
            )
            facts = {"set": "simulated", "slice": f"{item.name}, {scans.position_text(whole)}", "patient": item.patient}
            low = replace(whole, hu=np.where(whole.valid, hu, whole.hu))
            yield from (facts | row for row in measure_slice(low, whole.hu, dose, models))


def measure_pairs(stack: ExitStack, roots: Sequence[Path], each: int, models: Sequence[LoadedModel]) -> Iterator[Row]:
    """Yield the rows of real pairs at quarter and at full dose."""
    for series in open_pair_folders(stack, roots):
        for number in scans.spread_indices(len(series.pairs))[:each]:
            i, j = series.pairs[number]
            low, full = series.low.read(i), series.full.read(j)
            facts = {
                "set": series.name,
                "slice": f"{series.name}, {scans.position_text(low)}",
                "patient": series.patient,
            }
            for item, dose in ((low, QUARTER), (full, 1.0)):
                yield from (facts | row for row in measure_slice(item, full.hu, dose, models))


def relative_to_quarter_dose(rows: Sequence[Row]) -> list[Row]:
    """Add 'share' and 'noise_share': what is removed, and the noise, over those of the same slice at quarter dose."""
    quarter = {(r["set"], r["slice"], r["image"]): r for r in rows if r["dose"] == QUARTER}
    done = []
    for row in rows:
        other = quarter.get((row["set"], row["slice"], row["image"]))
        shares = {key: row[key] / other[key] if other and other[key] else None for key in ("removed", "noise")}
        done.append(row | {"share": shares["removed"], "noise_share": shares["noise"]})
    return done


HEADER = [
    "image",
    "dose",
    "noise SD (HU)",
    "removed, SD (HU)",
    "over that at 25 %",
    "noise over that at 25 %",
    "PSNR gain (dB)",
]


def table_rows(rows: Sequence[Row]) -> Iterator[list[str]]:
    """Yield the table."""
    tissues = tissues_in(rows)
    for image in tables.distinct(rows, "image"):
        for dose in sorted({row["dose"] for row in rows}):
            own = [row for row in rows if (row["image"], row["dose"]) == (image, dose)]
            plain = [f"{np.mean([row[key] for row in own]):.1f}" for key in ("noise", "removed")]
            figures = [("share", 2, ""), ("noise_share", 2, ""), ("gain", 2, "+")]
            cells = [
                *plain,
                *(markdown.summary_cell(tables.column_mean(own, key), digits, sign) for key, digits, sign in figures),
            ]
            changes = [[row["change"][t] for row in own if t in row["change"]] for t in tissues]
            yield [image, f"{100 * dose:g} %", *cells, *(_change(values) for values in changes)]


def tissues_in(rows: Sequence[Row]) -> list[str]:
    """Return the tissues that occur in the rows."""
    return [tissue for tissue in TISSUES if any(tissue in row["change"] for row in rows)]


def _change(values: Sequence[float]) -> str:
    """Return the mean, and the value of the slice farthest from 0."""
    return f"{np.mean(values):+.1f} ({max(values, key=abs):+.1f})" if values else "–"


def main() -> None:
    """Measure all slices, write the rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    scans.add_model_option(parser)
    parser.add_argument("--normal", type=Path, action="append", default=[], help="folder of normal-dose series")
    parser.add_argument("--pairs", type=Path, action="append", default=[], help="folder of pairs")
    parser.add_argument("--slices", type=int, default=5, help="number of simulated slices, over all series")
    parser.add_argument("--each", type=int, default=3, help="slices of each series of pairs")
    arguments = parser.parse_args()
    models, rows = scans.load_models(arguments.model), list[Row]()
    with ExitStack() as stack:
        rows += measure_pairs(stack, arguments.pairs, arguments.each, models)
        rows += measure_simulated(scans.find_series(stack, arguments.normal, low=False), arguments.slices, models)
    rows = relative_to_quarter_dose(rows)
    tables.save(arguments.out, "full_dose", {"models": {m.name: m.sha256 for m in models}}, rows)
    for name in tables.distinct(rows, "set"):
        own = [row for row in rows if row["set"] == name]
        print(f"\n### Strength by dose, {name}: {tables.count_text(own)}; HU change: mean (worst slice)\n")
        print(markdown.table([*HEADER, *(f"HU change, {tissue}" for tissue in tissues_in(own))], table_rows(own)))


if __name__ == "__main__":
    main()
