"""Every engine beside PyTorch as it comes, on slices of 512 x 512.

    python benchmarks/performance/engines.py OUT [--network red_cnn ...] [--rounds 5] [--device cuda --batch 4]

All contenders of a network live at the same time, each in a process of its own, and take turns; the first turn does
not count. Ratios are medians over the rounds of "eager" over the contender. The HU are those of the built-in slice
against float64. GFLOP/s count the multiplications and additions of the direct form, so that an engine that saves some
can exceed the machine's peak. Writes OUT/engines.csv, OUT/engines.png and prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
import numpy as np
import timed
import torch
from torch.utils.flop_counter import FlopCounterMode

from lowdose.infer.engines import accuracy_check
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.select_engine import CPU, GPU, _in_float64
from lowdose.networks.denoiser import MARGIN

HERE = Path(__file__).parent
SIDE = 2 * accuracy_check.SIDE


class Contender:
    """A process that denoises when told to."""

    def __init__(self, network: str, engine: str, device: str, threads: int, batch: int = 1) -> None:
        command = [sys.executable, str(HERE / "contender.py"), network, engine, "--device", device]
        self.engine, self.seconds, self._batch = engine, list[float](), batch
        self._process = subprocess.Popen(
            [*command, "--threads", str(threads), "--batch", str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout
        pixels = self._process.stdout.read(4 * accuracy_check.SIDE**2)
        if len(pixels) < 4 * accuracy_check.SIDE**2:
            raise RuntimeError(f"{engine} cannot run {network} here; 'contender.py {network} \"{engine}\"' says why")
        self.image = np.frombuffer(pixels, np.float32).reshape(1, 1, accuracy_check.SIDE, accuracy_check.SIDE)

    def turn(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        self.seconds.append(float(self._process.stdout.readline()) / self._batch)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def gigaflop(network: str) -> float:
    """Of the direct form on a slice with its margin."""
    side = SIDE + 2 * MARGIN
    with torch.device("meta"):
        image = torch.empty(1, 1, side, side)
    count = FlopCounterMode(display=False)
    with count:
        timed.denoiser(network).network.to("meta")(image)
    return 1e-9 * count.get_total_flops()


def contenders(device: str) -> list[str]:
    if device == "cuda":
        return [
            "eager",
            "eager channels_last",
            *(f"{name} {precision}" for name in GPU for precision in ("exact", "fast")),
        ]
    found = [
        f"{name} {precision}"
        for name, engine in CPU.items()
        if not engine.unavailable_reason()
        for precision in ("exact", "fast")
        if engine.supports(precision)
    ]
    return ["eager", "eager channels_last", "compile", *found]


def compare(network: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    right = _in_float64(timed.denoiser(network), accuracy_check.reference_slice())
    work, there = gigaflop(network), list[Contender]()
    for engine in contenders(asked.device):
        try:
            there.append(Contender(network, engine, asked.device, asked.threads, asked.batch))
        except RuntimeError as error:
            print(f"warning: {error}", file=sys.stderr)
    try:
        for _ in range(asked.rounds + 1):
            for each in there:
                each.turn()
    finally:
        for each in there:
            each.close()
    eager = there[0].seconds[1:]
    return [_row(network, each, eager, right, work) for each in there]


def _row(network: str, each: Contender, eager: list[float], right: Any, work: float) -> dict[str, Any]:
    own = each.seconds[1:]
    ratios = [slow / fast for slow, fast in zip(eager, own, strict=True)]
    apart, precision = Difference.between(right, each.image), "fast" if "fast" in each.engine else "exact"
    return {
        "network": network,
        "engine": each.engine,
        "seconds": round(statistics.median(own), 4),
        "least": round(min(own), 4),
        "most": round(max(own), 4),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_least": round(min(ratios), 2),
        "ratio_most": round(max(ratios), 2),
        "gflops": round(work / statistics.median(own), 1),
        **{name: float(f"{value:.3g}") for name, value in apart.to_dict().items()},
        "passes": not apart.fault(precision),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", action="append", choices=timed.NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=1, help="slices at a time; seconds are of one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    peaks = machine.peaks(asked.device)
    print(", ".join(f"{name} {value:.0f}" for name, value in peaks.items()), f"; {asked.threads} threads\n")
    rows = [row for network in asked.network or timed.NAMES for row in compare(network, asked)]
    with (asked.out / "engines.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print("| network | engine | s a slice | times eager (least–most) | GFLOP/s | rms, 99.9 %, most (HU) | passes |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_least']:.2f}–{row['ratio_most']:.2f})"
        hu, passes = f"{row['rms']:.2g}, {row['p999']:.2g}, {row['most']:.2g}", "yes" if row["passes"] else "no"
        cells = [row["network"], row["engine"], f"{row['seconds']:.3f}", ratio, f"{row['gflops']:.0f}", hu, passes]
        print(f"| {' | '.join(cells)} |")
    import plots

    plots.engines(rows, peaks, asked.out / "engines.png")


if __name__ == "__main__":
    main()
