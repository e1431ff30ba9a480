"""Measure the seconds that each model takes for a slice of 512 x 512 pixels, compared with RED-CNN of 96 channels.

    python -m benchmarks.zoo.speed OUT [--model NAME ...] [--rounds 5]

All models take turns in one run, so that other work on the machine slows all alike. The median over the rounds counts,
after one round that does not. The weights of RED-CNN are random: its time does not depend on them. Prints Markdown and
writes OUT/speed.json.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch
from experiments.common import markdown
from experiments.zoo import scans, tables

from lowdose.device import choose_device
from lowdose.hounsfield import Scale
from lowdose.image import Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.phantom.patient import digital_patient

REFERENCE = "RED-CNN, 96 channels"
NOISE_HU = 25.0


def red_cnn(device: torch.device) -> LoadedModel:
    """Return RED-CNN at the size of its paper, with random weights."""
    denoiser = Denoiser(NetworkSpec("red_cnn", {"channels": 96}), Scale(zero=-1150.0, one=0.0)).to(device).eval()
    channels_last(denoiser)
    return LoadedModel(REFERENCE, "", denoiser, TrainingDomain(), device)


def count_parameters(model: LoadedModel) -> int:
    """Return the number of weights of a model; 0 for a classical filter."""
    return sum(p.numel() for p in model.denoiser.parameters()) if isinstance(model.denoiser, Denoiser) else 0


def abdomen_slice() -> Slice:
    """Return a slice of a digital patient with noise, since filters may take longer on noise than without."""
    hu = digital_patient(0, slices=1).volume.hu[0]
    hu = hu + np.random.default_rng(0).normal(0, NOISE_HU, hu.shape).astype(np.float32)
    return Slice(hu, np.ones(hu.shape, bool), 0.0, (0.74, 0.74))


def main() -> None:
    """Time all models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    scans.add_model_option(parser)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device, item = choose_device("auto"), abdomen_slice()
    models = [red_cnn(device), *scans.load_models(arguments.model)]
    spent: dict[str, list[float]] = {model.name: [] for model in models}
    for _ in range(arguments.rounds + 1):
        for model in models:
            start = time.perf_counter()
            denoise_slice(model, item, 1.0)
            spent[model.name].append(time.perf_counter() - start)
    seconds = {name: float(np.median(times[1:])) for name, times in spent.items()}
    machine = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}"
    rows = [
        {
            "image": model.name,
            "seconds": seconds[model.name],
            "all": spent[model.name],
            "parameters": count_parameters(model),
        }
        for model in models
    ]
    tables.save(arguments.out, "speed", {"machine": machine, "rounds": arguments.rounds}, rows)
    print(f"\n### Seconds a slice of 512 x 512: {machine}; median (least–most) of {arguments.rounds} rounds\n")
    heads = ["image", "seconds", f"times as fast as {REFERENCE}", "parameters"]
    print(markdown.table(heads, (_line(row, spent[REFERENCE]) for row in rows)))


def _line(row: tables.Row, reference: list[float]) -> list[str]:
    """Return a row of the table.

    The ratio is the median over the rounds, which is less disturbed by other work than the ratio of the medians.
    """
    counted = row["all"][1:]
    ratio = np.median([slow / own for slow, own in zip(reference[1:], counted, strict=True)])
    return [
        row["image"],
        f"{row['seconds']:.2f} ({min(counted):.2f}–{max(counted):.2f})",
        f"{ratio:.1f}",
        f"{row['parameters']:,}" if row["parameters"] else "–",
    ]


if __name__ == "__main__":
    main()
