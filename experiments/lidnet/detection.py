"""How well a detector of ``lowdose train lidnet`` finds inserted lesions, at full dose, low dose and denoised.

    python -m experiments.lidnet.detection VALIDATION_SET RUN [RUN ...] [--draws 12] [--out detection.csv]

RUN: run folder with model.safetensors and detector.safetensors. Prints AP-50, AP-75, the sensitivity at 1/8
to 8 false detections a slice and, at half of one, by size, with the 95 % interval of AP-50 by bootstrap over patients.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from experiments.common.csv_file import write_rows
from experiments.lidnet.inserted_lesions import LesionSlice, lesion_slices
from lowdose.evaluation.lesion_detection import Estimate, detection_figures, detections
from lowdose.image import HU
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.networks.detection.detector_file import load_detector

Denoise = Callable[[LesionSlice], HU]


def main() -> None:
    """Score all runs and print a line for each image that their detectors see."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("validation_set", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    slices, rows = list(lesion_slices(arguments.validation_set, arguments.draws)), list[dict[str, object]]()
    diameters, patients = [each.diameters_mm for each in slices], [each.patient for each in slices]
    for run in arguments.runs:
        detector = load_detector(run)
        found = {
            image: [detections(detector, denoise(each), each.boxes) for each in slices]
            for image, denoise in images_of(run).items()
        }
        for image, estimates in detection_figures(found, diameters, patients, range(len(slices))).values.items():
            rows.append({"run": run.name, "image": image, **row(estimates, slices)})
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        write_rows(arguments.out, rows)


def images_of(run: Path) -> dict[str, Denoise]:
    """Return what the detector is shown by name."""
    model = load_by_name(str(run / "model.safetensors"), torch.device("cpu"))

    return {
        "full": lambda each: each.full,
        "low": lambda each: each.low[len(each.low) // 2],
        "denoised": lambda each: denoised(model, each.low),
    }


def denoised(model: LoadedModel, low: HU) -> HU:
    """Denoise the middle one of neighbouring slices (2c+1, y, x) HU."""
    context, middle = model.denoiser.context, len(low) // 2
    around = torch.from_numpy(low[middle - context : middle + context + 1])[None]
    return np.asarray(model.denoiser.denoise(around)[0, 0])


def row(estimates: Mapping[str, Estimate], slices: Sequence[LesionSlice]) -> dict[str, object]:
    """Return the figures of a detector on one image of all slices, with the interval of AP-50."""
    ap50 = estimates["ap50"]
    values = {name: round(each.value, 4) for name, each in estimates.items()}
    return {
        "lesions": sum(len(each.boxes) for each in slices),
        **values,
        "ap50_low": round(ap50.low, 4),
        "ap50_high": round(ap50.high, 4),
    }


if __name__ == "__main__":
    main()
