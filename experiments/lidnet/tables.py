"""What LIDnet changes: detection, texture and fidelity of lesions, and how much of faint ones is kept.

    python -m experiments.lidnet.tables VALIDATION_SET WORK OUT [--bases red_cnn ...] [--draws 3]

WORK: the runs of ``experiments.lidnet.bases``. Of each base, every schedule is compared with the first one, 'without',
in which the denoiser does not see the detector: in OUT-detection.csv (AP of the run's own detector, and of the one that
all started from), and in OUT-lesions.csv (regions of lesions, against full dose, and how much contrast they keep).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from experiments.common.csv_file import write_rows
from experiments.common.markdown import interval_cell
from experiments.lidnet.bases import BASES, SCHEDULES
from experiments.lidnet.detection import denoised
from experiments.lidnet.inserted_lesions import LesionSlice, lesion_slices
from lowdose.evaluation.inserted_lesions import LesionRange
from lowdose.evaluation.lesion_detection import Estimate, SliceDetections, detection_figures, detections
from lowdose.evaluation.lesion_measures import FIDELITY, TEXTURE, measure_lesion, measure_slice
from lowdose.image import HU
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.metrics.statistics import summarise
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.networks.detection.detector_file import load_detector

FAINT = LesionRange("metastasis", (5.0, 5.0), (-40.0, -20.0))
"""Lesions of which denoisers take most."""
DETECTION = ("ap50", "ap75", "sensitivity at 0.5")
Values = dict[str, list[float]]


def main() -> None:
    """Measure all runs of all bases, and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("validation_set", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bases", nargs="*", default=list(BASES))
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    slices = list(lesion_slices(arguments.validation_set, arguments.draws))
    faint = list(lesion_slices(arguments.validation_set, arguments.draws, 1, FAINT))
    found, seen = list[dict[str, object]](), list[dict[str, object]]()
    for base in arguments.bases:
        runs = {name: arguments.work / f"{base}-{name}" for name in (*SCHEDULES, "start")}
        runs = {name: run for name, run in runs.items() if (run / "model.safetensors").exists()}
        own, common, values = measure(runs, slices, faint)
        found += detection_rows(base, "own", own, slices) + detection_rows(base, "common", common, slices)
        seen += lesion_rows(base, values, [each.patient for each in slices], [each.patient for each in faint])
        write_rows(Path(f"{arguments.out}-detection.csv"), found)
        write_rows(Path(f"{arguments.out}-lesions.csv"), seen)


def measure(
    runs: Mapping[str, Path], slices: Sequence[LesionSlice], faint: Sequence[LesionSlice]
) -> tuple[dict[str, list[SliceDetections]], dict[str, list[SliceDetections]], dict[str, Values]]:
    """Return, by run, what its own and the common detector find, and mean figures of the lesions of each slice."""
    own, common, values = dict[str, list[SliceDetections]](), dict[str, list[SliceDetections]](), dict[str, Values]()
    for name, run in runs.items():
        model = run_on_engine(load_by_name(str(run / "model.safetensors"), torch.device("cpu")))
        detector, first = load_detector(run), load_detector(runs["start"])
        images = [denoised(model, each.low) for each in slices]
        own[name] = [detections(detector, image, each.boxes) for image, each in zip(images, slices, strict=True)]
        common[name] = [detections(first, image, each.boxes) for image, each in zip(images, slices, strict=True)]
        values[name] = figures_of_slices(images, slices)
        values[name]["contrast_5mm"] = [contrast(model, each) for each in faint]
        print(name, flush=True)
    return own, common, values


def figures_of_slices(images: Sequence[HU], slices: Sequence[LesionSlice]) -> Values:
    """Return by name the figures of every slice; those of lesions are means over its lesions."""
    rows = []
    for image, each in zip(images, slices, strict=True):
        lesions = [measure_lesion(mark, image, each.full, each.added, each.added) for mark in each.marks]
        wanted = [measure_lesion(mark, each.full, each.full, each.added, each.added) for mark in each.marks]
        texture = {
            name: float(np.mean([abs(a[name] - b[name]) for a, b in zip(lesions, wanted, strict=True)]))
            for name in TEXTURE
        }
        region = {f"roi_{name}": float(np.mean([one[f"roi_{name}"] for one in lesions])) for name in FIDELITY}
        rows.append({**texture, **region, **measure_slice(image, each.full)})
    return {name: [row[name] for row in rows] for name in rows[0]}


def contrast(model: LoadedModel, each: LesionSlice) -> float:
    """Return the mean share of the contrast of a slice's lesions that the model keeps."""
    change = denoised(model, each.low) - denoised(model, each.low - each.added)
    kept = [measure_lesion(mark, each.full, each.full, change, each.added)["contrast_kept"] for mark in each.marks]
    return float(np.mean(kept))


def detection_rows(
    base: str, detector: str, images: Mapping[str, Sequence[SliceDetections]], slices: Sequence[LesionSlice]
) -> list[dict[str, object]]:
    """Return a row for each run: figures, and differences from the first, with 95 % intervals."""
    sizes, patients = [each.diameters_mm for each in slices], [each.patient for each in slices]
    figures = detection_figures(images, sizes, patients, range(len(slices)))
    return [
        {"base": base, "schedule": name, "detector": detector}
        | {key: text(figures.values[name][key]) for key in DETECTION}
        | {f"{key} - without": text(figures.changes[name][key]) for key in DETECTION}
        for name in images
    ]


def lesion_rows(
    base: str, values: Mapping[str, Values], patients: Sequence[str], of_faint: Sequence[str]
) -> list[dict[str, object]]:
    """Return a row for each run: means over patients, and differences from the first, with 95 % intervals."""
    rows = []
    for name, own in values.items():
        row: dict[str, object] = {"base": base, "schedule": name}
        for key, numbers in own.items():
            groups = of_faint if key == "contrast_5mm" else patients
            change = [after - before for after, before in zip(numbers, values["without"][key], strict=True)]
            row[key] = text(interval(numbers, groups))
            row[f"{key} - without"] = text(interval(change, groups))
        rows.append(row)
    return rows


def interval(values: Sequence[float], patients: Sequence[str]) -> Estimate:
    """Return the mean over patients with its 95 % interval by bootstrap."""
    found = summarise(list(values), patients, seed=0)
    low, high = found.interval or (np.nan, np.nan)
    return Estimate(found.mean, low, high)


def text(estimate: Estimate) -> str:
    """Return a figure with its interval."""
    return interval_cell(estimate.value, (estimate.low, estimate.high), ".4g", " to ")


if __name__ == "__main__":
    main()
