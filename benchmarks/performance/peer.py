"""The same series and network through ldct-benchmark's own denoising function and through ours, by turns.

    benchmarks/performance/peer.sh PEER; python benchmarks/performance/peer.py PEER OUT [--slices 6] [--rounds 3]

Both read DICOM, run RED-CNN of 96 channels with the same weights, and write DICOM; both are warm, so that no import or
measurement of engines counts. Ratios are medians over the rounds. Also what either does to the HU of an image when the
network changes nothing. Writes OUT/peer.json.
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
import synthetic
import timed
import torch
from torch import nn

from lowdose import memory
from lowdose.infer import pipeline
from lowdose.infer.engines.select_engine import run_on_engine
from lowdose.infer.series_setup import set_up_series
from lowdose.io.open_series import open_sink, open_source
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel


def ours(model: LoadedModel, series: Path, out: Path) -> float:
    """Seconds of the whole job: headers, domain, denoising, derived series."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    with open_source(series) as source:
        prepared = set_up_series(source, model, 1.0)
        with open_sink(source, out, prepared.provenance) as sink:
            pipeline.denoise_series(source, sink, prepared.model, 1.0, lambda _: None)
    return time.perf_counter() - start


def peer(python: Path, series: Path, out: Path, network: nn.Module, scratch: Path) -> tuple[Callable[[], float], float]:
    """What denoises the series once and gives the seconds; and the HU that it adds to an image left alone."""
    weights = [part.data for layer in [*network.encode, *network.decode] for part in (layer.weight, layer.bias)]  # type: ignore[misc]
    torch.save(weights, scratch / "weights.pt")
    command = [python / "bin/python", Path(__file__).with_name("peer_side.py"), series, out, scratch / "weights.pt"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin
    assert process.stdout

    def once() -> float:
        process.stdin.write("\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        return float(process.stdout.readline())  # type: ignore[union-attr]

    return once, float(process.stdout.readline())


def left_alone(scratch: Path, series: Path) -> float:
    """The mean HU that we add when the network changes nothing: strength 1 of one that returns its input."""

    class Same(nn.Module):
        multiple, smallest = 1, 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    denoiser = timed.denoiser("red_cnn")
    denoiser.network = Same()
    out = scratch / "same"
    ours(LoadedModel("same", "", denoiser, TrainingDomain(), torch.device("cpu")), series, out)
    with open_source(series) as before, open_source(out) as after:
        return float(np.mean([(after.read(i).hu - before.read(i).hu).mean() for i in range(len(before))]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        synthetic.series(scratch / "in", asked.slices)
        denoiser = timed.denoiser("red_cnn")
        theirs, added = peer(asked.peer, scratch / "in", scratch / "theirs", denoiser.network, scratch)
        memory.keep_for_reuse()
        plain = LoadedModel("red_cnn", "", denoiser, TrainingDomain(), torch.device("cpu"))
        models = {each: run_on_engine(plain, "auto", each, lambda _: None) for each in ("exact", "fast")}
        spent: dict[str, list[float]] = {"peer": [], **{each: [] for each in models}}
        for _ in range(asked.rounds + 1):
            spent["peer"].append(theirs())
            for each, model in models.items():
                spent[each].append(ours(model, scratch / "in", scratch / each))
        found = {
            "slices": asked.slices,
            "seconds": {each: round(statistics.median(times[1:]), 3) for each, times in spent.items()},
            "ratio": {
                each: [round(slow / own, 2) for slow, own in zip(spent["peer"][1:], spent[each][1:], strict=True)]
                for each in models
            },
            "engine": {each: f"{model.engine} {model.precision}" for each, model in models.items()},
            "HU added by the peer": round(added, 3),
            "HU added by lowdose": round(left_alone(scratch, scratch / "in"), 5),
        }
    (asked.out / "peer.json").write_text(json.dumps(found, indent=2))
    print(f"| {asked.slices} slices | seconds | times the peer (least–most) |\n|---|---|---|")
    print(f"| ldct-benchmark 0.0.15 | {found['seconds']['peer']:.2f} | 1 |")
    for each in models:
        ratios = found["ratio"][each]
        span = f"{statistics.median(ratios):.2f} ({min(ratios)}–{max(ratios)})"
        print(f"| lowdose, {found['engine'][each]} | {found['seconds'][each]:.2f} | {span} |")
    print(
        f"\nHU added where the network changes nothing: peer {added:+.2f}, lowdose {found['HU added by lowdose']:+.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
