"""Compare training patches that the GPU cuts with those of the CPU, and measure how many it cuts a second.

    python -m experiments.gpu.check_patches PACK [--device cuda] [--slices 6]

PACK: normal dose, as 'lowdose data pack' writes it. The noise of a few neighbouring slices is simulated first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.device_patches import DevicePatches
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import build_noise_bank
from lowdose.data.noise_bank.parallel import build_with_processes
from lowdose.data.noise_bank.plan import Plan, prepare_folder
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.patches import Patches
from lowdose.data.simulated import DoseDistribution, SimulatedSlices, simulated_slices
from lowdose.simulation.calibration import calibrate_slices

SIZE, BATCH, COMPARED, TIMED = 96, 32, 4, 40


def main() -> None:
    """Print the largest difference and both rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--slices", type=int, default=6)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        normal = normal_dose_slices(stack, [arguments.pack])[0][: arguments.slices]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bank"
        prepare_folder(folder, Plan({item.key: item.shape for item in normal}, 2, "check"))
        threads = torch.get_num_threads()
        build_with_processes(folder, normal, calibrate_slices, (0, 1), lambda done, total: None, threads)
        build_noise_bank(folder, normal, calibrate_slices)
        items, _ = simulated_slices(normal)
        slices = SimulatedSlices(NoiseBank(folder), items, DoseDistribution(), context=1)
        patches = Patches(slices, SIZE, Augmentation(gain_low=1.0, gain_high=1.0), seed=0)
        report(patches, torch.device(arguments.device))


def report(patches: Patches, device: torch.device) -> None:
    """Print the table of one set of patches."""
    on_device = DevicePatches(patches, device)
    recipes = on_device.recipes
    computed = map(on_device.compute, batches(recipes, BATCH, 0, COMPARED))
    pairs = zip(batches(patches, BATCH, 0, COMPARED), computed, strict=True)
    largest = max(
        float((one - other.cpu()).abs().max())
        for cpu, gpu in pairs
        for one, other in ((cpu.low, gpu.low), (cpu.full, gpu.full))
    )
    workers = 8 if device.type == "cuda" else 0
    started, found = 0.0, map(on_device.compute, batches(recipes, BATCH, 0, TIMED + 1, workers=workers))
    for number, batch in enumerate(found):
        if number == 0:  # the processes have started
            float(batch.low.sum())
            started = time.perf_counter()
    float(batch.low.sum())
    rate = TIMED * BATCH / (time.perf_counter() - started)
    print(f"| patches of 3 x {SIZE} x {SIZE} | {device.type} |\n|---|---|")
    print(f"| largest difference from the CPU's | {largest:.4f} HU |\n| a second | {rate:.0f} |")


if __name__ == "__main__":
    main()
