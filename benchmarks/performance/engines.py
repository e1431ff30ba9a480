"""Compare the speed and accuracy of every engine with plain PyTorch on slices of 512 x 512 pixels.

    python -m benchmarks.performance.engines OUT [--network red_cnn ...] [--rounds 5] [--device cuda --batch 4]

All engines of a network run at the same time, each in a process of its own, and take turns; the first turn does not
count. Ratios are medians over the rounds of the time of "eager" over that of the engine. Differences in HU are those of
the built-in reference slice from float64. GFLOP/s count the multiplications and additions of direct convolution, so
that an engine that saves some of them can exceed the machine's peak. Writes OUT/engines.csv and, where there is
matplotlib, OUT/engines.png; prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.performance import machine_peaks, timed_networks
from lowdose.infer.engines import accuracy_check
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.select_engine import CPU, GPU
from lowdose.networks.denoiser import MARGIN

MODULE = "benchmarks.performance.engine_process"
SIDE = 2 * accuracy_check.SIDE


class EngineProcess:
    """A running ``engine_process``."""

    def __init__(self, network: str, engine: str, device: str, threads: int, batch: int = 1) -> None:
        command = [sys.executable, "-m", MODULE, network, engine, "--device", device]
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
            raise RuntimeError(
                f"{engine} cannot run {network} here; 'python -m {MODULE} {network} \"{engine}\"' says why"
            )
        self.image = np.frombuffer(pixels, np.float32).reshape(1, 1, accuracy_check.SIDE, accuracy_check.SIDE)

    def turn(self) -> None:
        """Let it denoise once, and keep the seconds per slice."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        self.seconds.append(float(self._process.stdout.readline()) / self._batch)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def gigaflop(network: str) -> float:
    """Return the GFLOP of direct convolution for one slice with its margin."""
    side = SIDE + 2 * MARGIN
    with torch.device("meta"):
        image = torch.empty(1, 1, side, side)
    count = FlopCounterMode(display=False)
    with count:
        timed_networks.load_denoiser(network).network.to("meta")(image)
    return 1e-9 * count.get_total_flops()


def denoise_in_float64(network: str) -> np.ndarray:
    """Return the reference slice denoised by PyTorch in float64 on the CPU."""
    precise = timed_networks.load_denoiser(network).to("cpu", torch.float64)
    return np.asarray(precise.denoise(accuracy_check.reference_slice().double()).numpy())


def list_engines(device: str) -> list[str]:
    """Return the names of all engines and precisions that this device has."""
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


def compare_engines(network: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one network; engines that cannot run it are left out with a warning."""
    reference = denoise_in_float64(network)
    work, processes = gigaflop(network), list[EngineProcess]()
    for engine in list_engines(arguments.device):
        try:
            processes.append(EngineProcess(network, engine, arguments.device, arguments.threads, arguments.batch))
        except RuntimeError as error:
            print(f"warning: {error}", file=sys.stderr)
    try:
        for _ in range(arguments.rounds + 1):
            for each in processes:
                each.turn()
    finally:
        for each in processes:
            each.close()
    eager = processes[0].seconds[1:]
    return [_row(network, each, eager, reference, work) for each in processes]


def _row(network: str, each: EngineProcess, eager: list[float], reference: Any, work: float) -> dict[str, Any]:
    own = each.seconds[1:]
    ratios = [slow / fast for slow, fast in zip(eager, own, strict=True)]
    difference, precision = Difference.between(reference, each.image), "fast" if "fast" in each.engine else "exact"
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
        **{name: float(f"{value:.3g}") for name, value in difference.to_dict().items()},
        "passes": not difference.fault(precision),
    }


def main() -> None:
    """Time all networks, write the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", action="append", choices=timed_networks.NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=1, help="slices at a time; seconds are per slice")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    peaks = machine_peaks.measure_peaks(arguments.device)
    print(", ".join(f"{name} {value:.0f}" for name, value in peaks.items()), f"; {arguments.threads} threads\n")
    rows = [row for network in arguments.network or timed_networks.NAMES for row in compare_engines(network, arguments)]
    with (arguments.out / "engines.csv").open("w", newline="") as file:
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
    if find_spec("matplotlib") is None:
        print("\nno figure: matplotlib is not installed", file=sys.stderr)
        return
    from benchmarks.performance import plots

    plots.plot_engines(rows, peaks, arguments.out / "engines.png")


if __name__ == "__main__":
    main()
