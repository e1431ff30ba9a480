"""Compare the speed and accuracy of every engine with plain PyTorch on slices of 512 x 512 pixels.

    python -m benchmarks.performance.engines OUT [--network red_cnn ...] [--rounds 5] [--device cuda --batch 4]

All engines of a network run at the same time, each in a process of its own, and take turns; the first turn does not
count. Ratios are medians over the rounds of the time of "eager" over that of the engine. Differences in HU are those of
the built-in reference slice from float64. Other work on the machine slows the clock on the wall more than that of the
processor, so both are given. GFLOP/s count the multiplications and additions of direct convolution, so
that an engine that saves some of them can exceed the machine's peak. Writes OUT/engines.csv and prints Markdown as
each network is done; where there is matplotlib, also OUT/engines.png.
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
        self.engine, self.seconds, self.cpu_seconds, self._batch = engine, list[float](), list[float](), batch
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
        """Let it denoise once, and keep the seconds per slice, on the wall and of the processor."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        wall, cpu = map(float, self._process.stdout.readline().split())
        self.seconds.append(wall / self._batch)
        self.cpu_seconds.append(cpu / self._batch)

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
    for engine in (each for each in list_engines(arguments.device) if each not in arguments.without):
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
    return [_row(network, each, processes[0], reference, work) for each in processes]


def _ratios(eager: list[float], own: list[float]) -> list[float]:
    """Return how many times as long plain PyTorch took in each round but the first."""
    return [slow / fast for slow, fast in zip(eager[1:], own[1:], strict=True)]


def _row(network: str, each: EngineProcess, eager: EngineProcess, reference: Any, work: float) -> dict[str, Any]:
    own, ratios = each.seconds[1:], _ratios(eager.seconds, each.seconds)
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
        "cpu_seconds": round(statistics.median(each.cpu_seconds[1:]), 4),
        "cpu_ratio": round(statistics.median(_ratios(eager.cpu_seconds, each.cpu_seconds)), 2),
        "gflops": round(work / statistics.median(own), 1),
        **{name: float(f"{value:.3g}") for name, value in difference.to_dict().items()},
        "passes": not difference.fault(precision),
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one network as Markdown."""
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_least']:.2f}–{row['ratio_most']:.2f})"
        cpu = [f"{row['cpu_seconds']:.3f}", f"{row['cpu_ratio']:.2f}"]
        hu, passes = f"{row['rms']:.2g}, {row['p999']:.2g}, {row['most']:.2g}", "yes" if row["passes"] else "no"
        cells = [
            row["network"],
            row["engine"],
            f"{row['seconds']:.3f}",
            ratio,
            *cpu,
            f"{row['gflops']:.0f}",
            hu,
            passes,
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Time all networks, write the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", action="append", choices=timed_networks.NAMES)
    parser.add_argument("--without", action="append", default=[], help="an engine to leave out, such as 'compile'")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=1, help="slices at a time; seconds are per slice")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    peaks = machine_peaks.measure_peaks(arguments.device)
    print(", ".join(f"{name} {value:.0f}" for name, value in peaks.items()), f"; {arguments.threads} threads\n")
    print(
        "| network | engine | s a slice | times eager (least–most) | processor s | times eager | GFLOP/s |"
        " rms, 99.9 %, most (HU) | passes |\n|---|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    rows = list[dict[str, Any]]()
    with (arguments.out / "engines.csv").open("w", newline="") as file:
        for network in arguments.network or timed_networks.NAMES:
            found = compare_engines(network, arguments)
            writer = csv.DictWriter(file, found[0])
            if not rows:
                writer.writeheader()
            writer.writerows(found)
            file.flush()
            print_rows(found)
            rows += found
    if find_spec("matplotlib") is None:
        print("\nno figure: matplotlib is not installed", file=sys.stderr)
        return
    from benchmarks.performance import plots

    plots.plot_engines(rows, peaks, arguments.out / "engines.png")


if __name__ == "__main__":
    main()
