"""Seconds a slice of 512 x 512 takes each model, beside RED-CNN at its paper's 96 channels.

    python benchmarks/zoo/speed.py OUT [--model NAME ...] [--rounds 5]

All take turns within one run, so that what else the machine does meets all alike; the median over the rounds counts,
after one round that does not. RED-CNN's weights are random: its time does not depend on them. Prints Markdown, writes
OUT/speed.json.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import scans
import tables
import torch

from lowdose.device import choose_device
from lowdose.hounsfield import Scale
from lowdose.image import Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.phantom.patient import digital_patient

BESIDE = "RED-CNN, 96 channels"
NOISE_HU = 25.0


def red_cnn(device: torch.device) -> LoadedModel:
    denoiser = Denoiser(NetworkSpec("red_cnn", {"channels": 96}), Scale(zero=-1150.0, one=0.0)).to(device).eval()
    channels_last(denoiser)
    return LoadedModel(BESIDE, "", denoiser, TrainingDomain(), device)


def parameters(model: LoadedModel) -> int:
    return sum(p.numel() for p in model.denoiser.parameters()) if isinstance(model.denoiser, Denoiser) else 0


def body() -> Slice:
    """A digital patient's abdomen, noise added: filters may take longer on noise than without."""
    hu = digital_patient(0, slices=1).volume.hu[0]
    hu = hu + np.random.default_rng(0).normal(0, NOISE_HU, hu.shape).astype(np.float32)
    return Slice(hu, np.ones(hu.shape, bool), 0.0, (0.74, 0.74))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    scans.add_models(parser)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    device, item = choose_device("auto"), body()
    models = [red_cnn(device), *scans.ready(asked.model)]
    spent: dict[str, list[float]] = {model.name: [] for model in models}
    for _ in range(asked.rounds + 1):
        for model in models:
            start = time.perf_counter()
            denoise_slice(model, item, 1.0)
            spent[model.name].append(time.perf_counter() - start)
    seconds = {name: float(np.median(times[1:])) for name, times in spent.items()}
    machine = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}"
    rows = [
        {"image": model.name, "seconds": seconds[model.name], "all": spent[model.name], "parameters": parameters(model)}
        for model in models
    ]
    tables.save(asked.out, "speed", {"machine": machine, "rounds": asked.rounds}, rows)
    print(f"\n### Seconds a slice of 512 x 512: {machine}; median (least–most) of {asked.rounds} rounds\n")
    heads = ["image", "seconds", f"times as fast as {BESIDE}", "parameters"]
    print(tables.table(heads, (_line(row, spent[BESIDE]) for row in rows)))


def _line(row: tables.Row, beside: list[float]) -> list[str]:
    """The ratio is the median of those of single rounds, which what else runs disturbs less."""
    counted = row["all"][1:]
    ratio = np.median([slow / own for slow, own in zip(beside[1:], counted, strict=True)])
    return [
        row["image"],
        f"{row['seconds']:.2f} ({min(counted):.2f}–{max(counted):.2f})",
        f"{ratio:.1f}",
        f"{row['parameters']:,}" if row["parameters"] else "–",
    ]


if __name__ == "__main__":
    main()
