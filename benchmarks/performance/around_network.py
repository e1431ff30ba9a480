"""Measure the processor time per slice of everything around the network, for a DICOM series.

    python -m benchmarks.performance.around_network [FOLDER] [--slices 40] [--rounds 5]

Steps: reading the pixels; what ``Denoiser.denoise`` does besides running the network, and of that the local means and
the blend at the ends of the range; mixing with the input; the stored values; and writing, which includes those. Without
a folder a synthetic series is made. Prints the median over the rounds of this thread's processor time, in ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.performance import synthetic_series
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.io.dicom.derived import DicomSink, restore_stored
from lowdose.io.dicom.series import DicomSource
from lowdose.io.provenance import denoising_provenance
from lowdose.models.load import load_by_name
from lowdose.networks.denoiser import Denoiser, keep_local_means

Work = Callable[[Slice, HU], object]


class NoChange:
    """A denoiser that gives back its input: what is left is the mixing around it."""

    def __init__(self, plain: Denoiser) -> None:
        self.scale, self.context, self.noise_free = plain.scale, 0, False

    def denoise(self, hu: torch.Tensor) -> torch.Tensor:
        """Return the input."""
        return hu


def milliseconds(work: Work, slices: list[Slice], results: list[HU]) -> float:
    """Return the processor time of ``work`` per slice."""
    start = time.thread_time()
    for item, hu in zip(slices, results, strict=True):
        work(item, hu)
    return 1000 * (time.thread_time() - start) / len(slices)


def image(hu: HU) -> torch.Tensor:
    """Return a slice as a batch of one."""
    return torch.from_numpy(hu)[None, None]


@torch.inference_mode()
def measure(source: DicomSource, count: int, rounds: int, scratch: Path) -> dict[str, float]:
    """Return the median ms a slice of each step; the slices of a short series are used several times."""
    model = load_by_name("fast", torch.device("cpu"))
    plain = model.denoiser
    assert isinstance(plain, Denoiser)
    slices = [source.read(index) for index in islice(cycle(range(len(source))), count)]
    rng = np.random.default_rng(0)
    results = [item.hu + rng.normal(0, 3, item.hu.shape).astype(np.float32) for item in slices]
    places = cycle(range(len(source)))
    mixing = replace(model, denoiser=NoChange(plain), noise_kept=0.3)
    steps: dict[str, Work] = {
        "read pixels": lambda item, hu: source.read(next(places)),
        "around the network": lambda item, hu: plain.denoise(image(item.in_air), lambda units: units),
        "  local means": lambda item, hu: keep_local_means(image(item.hu), image(hu), plain.local_means_px),
        "  blend": lambda item, hu: plain.scale.blend(image(item.hu), image(hu)),
        "mix": lambda item, hu: denoise_slice(mixing, item, 1.0),
        "stored values": lambda item, hu: restore_stored(item.origin, item, hu),
    }
    found: dict[str, list[float]] = {name: [] for name in (*steps, "write")}
    for turn in range(rounds):
        for name, work in steps.items():
            found[name].append(milliseconds(work, slices, results))
        sink = DicomSink(source, scratch / f"out{turn}", denoising_provenance("1", "fast", "ab" * 32, 1.0))
        sink._folder.open()
        found["write"].append(milliseconds(sink.write, slices, results))
        sink._folder.discard()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--slices", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name) / "series"
        if given.folder is None:
            synthetic_series.write_series(folder, given.slices)
        found = measure(DicomSource(folder), given.slices, given.rounds, Path(name))
    print("| step | processor ms a slice |\n|---|---|")
    for step, value in found.items():
        print(f"| {step} | {value:.2f} |")


if __name__ == "__main__":
    main()
