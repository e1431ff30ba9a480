"""Compare denoising a series by ldct-benchmark's own function with denoising it by lowdose, with the same network.

    benchmarks/performance/ldct_benchmark_environment.sh ENVIRONMENT
    python -m benchmarks.performance.ldct_benchmark ENVIRONMENT OUT [--slices 6] [--rounds 3]

Both read DICOM, run RED-CNN of 96 channels with the same weights, and write DICOM. They take turns in processes that
are warm, so that neither imports nor the measurement of engines count. Ratios are medians over the rounds. The HU that
either adds to an image when the network changes nothing are measured, too. Writes OUT/ldct_benchmark.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import lowdose
from benchmarks.performance import synthetic_series, timed_networks
from lowdose import memory
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.io.open_series import open_source
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel


def seconds_of_lowdose(model: LoadedModel, series: Path, out: Path) -> float:
    """Return the seconds of the whole job: headers, domain, denoising, derived series."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    lowdose.denoise(series, out, model=model)
    return time.perf_counter() - start


def start_ldct_benchmark(
    environment: Path, series: Path, out: Path, network: nn.Module, scratch: Path
) -> tuple[Callable[[], float], float]:
    """Start the other library in its own environment.

    Returns a function that denoises the series once and returns its seconds, and the HU it adds to an unchanged image.
    """
    weights = [part.data for layer in [*network.encode, *network.decode] for part in (layer.weight, layer.bias)]  # type: ignore[misc]
    torch.save(weights, scratch / "weights.pt")
    command = [
        environment / "bin/python",
        Path(__file__).with_name("ldct_benchmark_process.py"),
        series,
        out,
        scratch / "weights.pt",
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin
    assert process.stdout

    def denoise_once() -> float:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        return float(process.stdout.readline())  # type: ignore[union-attr]

    return denoise_once, float(process.stdout.readline())


def added_hu(scratch: Path, series: Path) -> float:
    """Return the mean HU that lowdose adds to a series when the network returns its input."""

    class Identity(nn.Module):
        multiple, smallest = 1, 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    denoiser = timed_networks.load_denoiser("red_cnn")
    denoiser.network = Identity()
    out = scratch / "identity"
    seconds_of_lowdose(LoadedModel("identity", "", denoiser, TrainingDomain(), torch.device("cpu")), series, out)
    with open_source(series) as before, open_source(out) as after:
        return float(np.mean([(after.read(i).hu - before.read(i).hu).mean() for i in range(len(before))]))


def main() -> None:
    """Run all rounds, write the file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        synthetic_series.write_series(scratch / "in", arguments.slices)
        denoiser = timed_networks.load_denoiser("red_cnn")
        theirs, added = start_ldct_benchmark(
            arguments.environment, scratch / "in", scratch / "theirs", denoiser.network, scratch
        )
        memory.keep_for_reuse()
        plain = LoadedModel("red_cnn", "", denoiser, TrainingDomain(), torch.device("cpu"))
        models = {each: run_on_engine(plain, "auto", each, lambda _: None) for each in ("exact", "fast")}
        spent: dict[str, list[float]] = {"ldct-benchmark": [], **{each: [] for each in models}}
        for _ in range(arguments.rounds + 1):
            spent["ldct-benchmark"].append(theirs())
            for each, model in models.items():
                spent[each].append(seconds_of_lowdose(model, scratch / "in", scratch / each))
        found = {
            "slices": arguments.slices,
            "seconds": {each: round(statistics.median(times[1:]), 3) for each, times in spent.items()},
            "ratio": {
                each: [
                    round(slow / own, 2) for slow, own in zip(spent["ldct-benchmark"][1:], spent[each][1:], strict=True)
                ]
                for each in models
            },
            "engine": {each: f"{model.engine} {model.precision}" for each, model in models.items()},
            "HU added by ldct-benchmark": round(added, 3),
            "HU added by lowdose": round(added_hu(scratch, scratch / "in"), 5),
        }
    (arguments.out / "ldct_benchmark.json").write_text(json.dumps(found, indent=2))
    print(f"| {arguments.slices} slices | seconds | times ldct-benchmark (least–most) |\n|---|---|---|")
    print(f"| ldct-benchmark 0.0.15 | {found['seconds']['ldct-benchmark']:.2f} | 1 |")
    for each in models:
        ratios = found["ratio"][each]
        span = f"{statistics.median(ratios):.2f} ({min(ratios)}–{max(ratios)})"
        print(f"| lowdose, {found['engine'][each]} | {found['seconds'][each]:.2f} | {span} |")
    print(
        f"\nHU added where the network changes nothing: ldct-benchmark {added:+.2f}, "
        f"lowdose {found['HU added by lowdose']:+.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
