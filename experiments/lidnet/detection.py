"""How well a detector of ``lowdose train lidnet`` finds inserted lesions, at full dose, low dose and denoised.

    python -m experiments.lidnet.detection VALIDATION_SET RUN [RUN ...] [--draws 12] [--out detection.csv]

RUN: run folder with model.safetensors and detector.safetensors. Prints AP-50, AP-75, sensitivity at half a false
detection a slice over all lesions and by size, with 95 % intervals of AP-50 by bootstrap over patients.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from experiments.lidnet.inserted_lesions import LesionSlice, lesion_slices
from lowdose.image import HU
from lowdose.metrics.lesion_detection import Outcome, average_precision, free_response, match_detections
from lowdose.models.load import load_by_name
from lowdose.networks.detection.detector import Detections
from lowdose.networks.detection.detector_file import load_detector

FALSE_A_SLICE = 0.5
SIZES_MM = ((8.0, 12.0), (12.0, 16.0), (16.0, 20.0))
RESAMPLED = 200
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
    for run in arguments.runs:
        detector = load_detector(run)
        for image, denoise in images_of(run).items():
            found = [detector.detect(torch.from_numpy(denoise(each))[None, None].float())[0] for each in slices]
            rows.append({"run": run.name, "image": image, **figures(found, slices)})
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def images_of(run: Path) -> dict[str, Denoise]:
    """Return what the detector is shown by name."""
    model = load_by_name(str(run / "model.safetensors"), torch.device("cpu"))

    def denoised(each: LesionSlice) -> HU:
        low = torch.from_numpy(each.low)[None]
        first = low.shape[1] // 2 - model.denoiser.context
        return np.asarray(model.denoiser.denoise(low[:, first : first + 2 * model.denoiser.context + 1])[0, 0])

    return {
        "full": lambda each: each.full,
        "low": lambda each: each.low[len(each.low) // 2],
        "denoised": denoised,
    }


def figures(found: Sequence[Detections], slices: Sequence[LesionSlice]) -> dict[str, object]:
    """Return the figures of a detector on all slices."""
    outcome = _match(found, slices, 0.5)
    sizes = np.concatenate([each.diameters_mm for each in slices])
    score = _score_at(outcome, FALSE_A_SLICE)
    seen = np.concatenate(outcome.found_at) >= score
    low, high = _interval(found, slices)
    return {
        "lesions": len(sizes),
        "ap50": round(average_precision(outcome), 4),
        "ap50_low": round(low, 4),
        "ap50_high": round(high, 4),
        "ap75": round(average_precision(_match(found, slices, 0.75)), 4),
        "sensitivity": round(float(free_response(outcome, [FALSE_A_SLICE])[0]), 4),
        **{f"{a:.0f}-{b:.0f} mm": round(float(seen[(sizes >= a) & (sizes < b)].mean()), 4) for a, b in SIZES_MM},
    }


def _score_at(outcome: Outcome, false_a_slice: float) -> float:
    """Return the lowest score with at most so many false detections in a slice."""
    allowed = np.cumsum(~outcome.hits) <= false_a_slice * len(outcome.found_at)
    return float(outcome.scores[allowed].min()) if allowed.any() else np.inf


def _match(found: Sequence[Detections], slices: Sequence[LesionSlice], overlap: float) -> Outcome:
    boxes, scores = [each.boxes.numpy() for each in found], [each.scores.numpy() for each in found]
    return match_detections(boxes, scores, [each.boxes for each in slices], overlap)


def _interval(found: Sequence[Detections], slices: Sequence[LesionSlice]) -> tuple[float, float]:
    """Return the 95 % interval of AP-50 by bootstrap over patients."""
    patients = sorted({each.patient for each in slices})
    own = {name: [n for n, each in enumerate(slices) if each.patient == name] for name in patients}
    rng, values = np.random.default_rng(0), []
    for _ in range(RESAMPLED):
        chosen = [n for name in rng.choice(patients, len(patients)) for n in own[name]]
        values.append(average_precision(_match([found[n] for n in chosen], [slices[n] for n in chosen], 0.5)))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
