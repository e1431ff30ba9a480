"""How many simulated patches of 64 x 64 a second the data loader gives, from a noise bank that a run has built.

python benchmarks/physics/patch_rate.py RUN/noise-bank
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.patches import Augmentation, Patches, batches
from lowdose.data.simulated import DoseDistribution, SimulatedSlice, SimulatedSlices

COUNT, BATCH = 8000, 16


def rate(patches: Patches, workers: int) -> float:
    found = batches(patches, BATCH, 0, COUNT // BATCH, workers=workers)
    next(found)  # the workers have started
    started = time.perf_counter()
    rest = sum(len(batch.low) for batch in found)
    return rest / (time.perf_counter() - started)


def main() -> None:
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
        print(f"| {name} | {rate(patches, 0):.0f} | {rate(patches, 2):.0f} |")


if __name__ == "__main__":
    main()
