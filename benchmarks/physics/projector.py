"""Measure the time of projection, back-projection and a simulated slice, and the accuracy of a projected disc.

    python -m benchmarks.physics.projector [--repeats 7] [--threads N]

The compiled loops are compared with the PyTorch path on the same CPU, and on CUDA where there is one, for the geometry
of the default scanner (1152 views, 711 rays) and its image matrix (512 x 512 pixels of 0.74 mm). Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from lowdose.physics.backprojection import backprojection_table
from lowdose.physics.backprojection_cpu import BackProjectionCPU
from lowdose.physics.backprojection_torch import BackProjectionTorch
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.physics.geometry import Grid, ParallelBeam
from lowdose.physics.joseph import ray_table
from lowdose.physics.joseph_cpu import JosephCPU
from lowdose.physics.joseph_torch import JosephTorch
from lowdose.physics.kernels import D45
from lowdose.physics.projection import Projector
from lowdose.physics.scanner import Scanner

GRID = Grid((512, 512), (0.74, 0.74))


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Return the median seconds of ``repeats`` runs after a first one, which compiles code and fills tables.

    With 0 repeats the first run counts.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times)


def disc_coverage(grid: Grid, radius_mm: float) -> torch.Tensor:
    """Return the share of each pixel that a centred disc covers."""
    (dy, dx), (y, x) = grid.pixel_mm, np.meshgrid(*grid.axes(), indexing="ij")
    share = np.zeros(grid.shape)
    for part in (np.arange(64) + 0.5) / 64 - 0.5:
        half = np.sqrt(np.maximum(radius_mm**2 - (y + part * dy) ** 2, 0))
        share += np.clip(np.minimum(x + dx / 2, half) - np.maximum(x - dx / 2, -half), 0, None) / (64 * dx)
    return torch.from_numpy(share)


def print_projector_times(repeats: int) -> None:
    """Print the times of both projectors and their adjoints."""
    rays = Scanner().rays
    table, shadows = ray_table(rays, GRID), backprojection_table(rays, GRID, 4)
    image = torch.rand(1, *GRID.shape)
    sinogram, lines = torch.rand(1, rays.views, rays.detectors), torch.rand(1, rays.views, rays.detectors * 4)
    compiled = JosephCPU(table, GRID.shape), BackProjectionCPU(shadows)
    tensors = JosephTorch(table, GRID.shape), BackProjectionTorch(shadows)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    print(f"{torch.get_num_threads()} threads; float32; median seconds of a slice\n")
    print("| | compiled | " + " | ".join(f"PyTorch, {device}" for device in devices) + " |")
    print("|---" * (2 + len(devices)) + "|")
    work: tuple[tuple[str, int, str, torch.Tensor], ...] = (
        ("forward projection", 0, "forward", image),
        ("its adjoint", 0, "adjoint", sinogram),
        ("back-projection, 4 samples a detector", 1, "forward", lines),
        ("its adjoint", 1, "adjoint", image),
    )
    for name, index, way, batch in work:
        ours = seconds(partial(getattr(compiled[index], way), batch), repeats)
        theirs = [
            seconds(partial(getattr(tensors[index], way), batch.to(device)), 0 if device == "cpu" else repeats)
            for device in devices
        ]
        print(f"| {name} | {ours:.3f} | " + " | ".join(f"{value:.3f}" for value in theirs) + " |")


def print_simulated_slice(repeats: int) -> None:
    """Print the time of simulating one quarter-dose slice."""
    hu = (1040 * disc_coverage(GRID, 170.0).numpy() - 1000).astype(np.float32)
    simulator = DoseSimulator(Scanner(), D45)
    once = seconds(
        lambda: simulator.simulate(hu, (0.74, 0.74), exposure=100.0, dose=0.25, seed=0, key="slice"), repeats
    )
    print(f"\nA quarter-dose slice of 512 x 512 pixels: {once:.2f} s (asked: 1.0 s on 2 cores).\n")


def print_accuracy() -> None:
    """Print the relative error of projected discs against their exact chord lengths."""
    print("| disc, mm | pixel, mm | rms | 99 % of rays | worst | (of the length, rays within 0.9 R; asked 0.1 %)")
    print("|---|---|---|---|---|---|")
    for radius, pixel in ((100.3, 0.5), (150.3, 0.74), (180.0, 0.74)):
        grid = Grid((512, 512), (pixel, pixel))
        beam = ParallelBeam(720, int(1.8 * radius / 0.31 / pixel), 0.31 * pixel)
        truth = 2 * torch.from_numpy(np.sqrt(radius**2 - beam.positions() ** 2))
        error = (Projector(beam, grid).forward(disc_coverage(grid, radius)) / truth - 1).abs().flatten().numpy()
        figures = np.sqrt(np.mean(error**2)), np.quantile(error, 0.99), error.max()
        print(f"| {radius} | {pixel} | " + " | ".join(f"{100 * figure:.3f} %" for figure in figures) + " | |")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print_projector_times(arguments.repeats)
    print_simulated_slice(arguments.repeats)
    print_accuracy()


if __name__ == "__main__":
    main()
