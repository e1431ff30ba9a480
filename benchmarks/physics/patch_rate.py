"""Measure how many simulated patches of 64 x 64 pixels the data loader gives per second.

    python -m benchmarks.physics.patch_rate RUN/noise-bank

The noise bank is one that a training run with simulated low dose has built.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.patches import Patches
from lowdose.data.simulated import DoseDistribution, SimulatedSlice, SimulatedSlices

COUNT, BATCH = 8000, 16


def patches_per_second(patches: Patches, workers: int) -> float:
    """Return patches per second, not counting the start of the workers."""
    found = batches(patches, BATCH, 0, COUNT // BATCH, workers=workers)
    next(found)  # wait until the workers have started
    started = time.perf_counter()
    rest = sum(len(batch.low) for batch in found)
    return rest / (time.perf_counter() - started)


def main() -> None:
    """Print a table without workers and with two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    bank = NoiseBank(parser.parse_args().bank)
    torch.set_num_threads(1)
    items: Any = [SimulatedSlice(1, key, 0.7, None, lambda: None, normal=None) for key in bank.built]  # type: ignore
    slices = SimulatedSlices(bank, items, DoseDistribution())
    print("| patches a second | no worker | 2 workers |\n|---|---|---|")
    for name, augmentation in (
        ("crop, noise, flips", Augmentation(gain_low=1.0, gain_high=1.0, share=0.0)),
        ("and half of them at another kernel, half on other pixels", Augmentation(gain_low=1.0, gain_high=1.0)),
    ):
        patches = Patches(slices, 64, augmentation, 0)
        print(f"| {name} | {patches_per_second(patches, 0):.0f} | {patches_per_second(patches, 2):.0f} |")


if __name__ == "__main__":
    main()
