"""Score models on the validation slices side by side, and test what differs from the first one.

    python -m experiments.furnace.compare SET OUT.csv MODEL [MODEL ...]

MODEL: name or path, or LABEL=MODEL; with @PX at its end the model keeps local means over that many pixels instead of
what its file states, @0 none. Writes the figures of every slice and prints a Markdown table: means over patients,
and below the first model the mean difference to it with its 95 % bootstrap interval over patients.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from experiments.common.markdown import table
from experiments.furnace.score import score_slices
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.networks.denoiser import Denoiser

FIGURES = {
    "psnr_gain": 3, "context_gain": 3, "ssim_gain": 4, "noise_sd": 3, "f_av": 3, "nps_error": 3, "tissue_bias": 3,
    "lesion_5mm": 3, "lesion_8mm": 3,
}  # fmt: skip
"""Figures of the table and their digits."""
DRAWS = 4000


def main() -> None:
    """Score all models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for text in arguments.models:
        label, _, model = text.partition("=")
        loaded = load_variant(model or label)
        rows += [{"model": label, **row} for row in score_slices(loaded, arguments.set, lesions=True)]
        write_rows(arguments.out, rows)
    print(comparison(rows))


def load_variant(text: str) -> LoadedModel:
    """Load a model, 'NAME' or 'NAME@PX' with local means kept over PX pixels."""
    name, _, pixels = text.partition("@")
    model = load_by_name(name, torch.device("cpu"))
    if pixels and isinstance(model.denoiser, Denoiser):
        model.denoiser.stated_means_px = float(pixels)
    return model


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the figures of every slice as CSV, rounded to five digits."""
    names = ["model", "patient", "file", "real", *FIGURES]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({n: f"{v:.5g}" if isinstance(v := row.get(n, ""), float) else v for n in names})


def comparison(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the table of all models, with differences to the first."""
    of_model: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        of_model[str(row["model"])].append(row)
    means = {name: {figure: patient_values(own, figure) for figure in FIGURES} for name, own in of_model.items()}
    first = next(iter(means.values()))
    lines = []
    for name, figures in means.items():
        lines.append([name, *(_mean_text(figures[figure], digits) for figure, digits in FIGURES.items())])
        if figures is not first:
            cells = [_difference_text(figures[figure], first[figure], digits) for figure, digits in FIGURES.items()]
            lines.append(["difference", *cells])
    return table(["model", *FIGURES], lines)


def patient_values(rows: Sequence[Mapping[str, object]], figure: str) -> dict[str, float]:
    """Return the mean of a figure over the slices of each patient."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        value = row.get(figure)
        if isinstance(value, float) and np.isfinite(value):
            values[str(row["patient"])].append(value)
    return {patient: float(np.mean(own)) for patient, own in values.items()}


def _mean_text(values: Mapping[str, float], digits: int) -> str:
    return f"{np.mean(list(values.values())):.{digits}f}" if values else ""


def _difference_text(values: Mapping[str, float], first: Mapping[str, float], digits: int) -> str:
    """Return the mean difference over the patients that both have, with its bootstrap interval."""
    differences = np.array([values[patient] - first[patient] for patient in values if patient in first])
    if not len(differences):
        return ""
    draws = np.random.default_rng(0).choice(differences, (DRAWS, len(differences))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{differences.mean():+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


if __name__ == "__main__":
    main()
