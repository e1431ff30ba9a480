"""Compare models on the validation patients, on which all choices of the training are made, never on the test patient.

    python -m experiments.zoo.validation_table SET PAIRS/L096-3mm-D45f MODEL ...

SET: folder that ``training_set`` wrote; quarter dose of the patients in SET/check is made by the exact simulator. L096:
real pairs of a sharp kernel, and the same pairs converted to a soft one by the ratio of the two windows. Printed are
gains over the input in [-160, 240] HU, and "left": SD of what the model removes from full dose over that of quarter
dose.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from experiments.common.pairs import open_pair_folders
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Slice, mean_side
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.structural_similarity import ssim
from lowdose.models import load
from lowdose.physics.kernels import B30, D45
from lowdose.simulation.calibration import calibrate_slices

Pairs = list[tuple[HU, HU, float]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="folder that training_set wrote")
    parser.add_argument("pairs", type=Path, help="folder with the pairs of one series")
    parser.add_argument("models", nargs="+", help="names or paths")
    arguments = parser.parse_args()
    sharp = real_pairs(arguments.pairs)
    groups = {
        "L096 D45f": sharp,
        "L096 as B30": [soften(*pair) for pair in sharp],
        "held out, simulated": simulated_pairs(arguments.set / "check"),
    }
    print("| model | " + " | ".join(f"{name} (n = {len(pairs)})" for name, pairs in groups.items()) + " |")
    print("|---" * (len(groups) + 1) + "|")
    for name in arguments.models:
        model = load.load_by_name(name, torch.device("cpu"))
        print(
            f"| {model.name} | " + " | ".join(table_cell(model, pairs) for pairs in groups.values()) + " |", flush=True
        )


def table_cell(model: load.LoadedModel, pairs: Pairs) -> str:
    """Return the mean gains and the ratio of one model on one set of pairs."""
    gains, gained, ratios = [], [], []
    for low, full, pixel in pairs:
        clean, kept = (denoise(model, hu, pixel) for hu in (low, full))
        seen, target, input_ = (SOFT_TISSUE.apply(hu) for hu in (clean, full, low))
        gains.append(psnr(seen, target, 1.0) - psnr(input_, target, 1.0))
        gained.append(ssim(seen, target, 1.0) - ssim(input_, target, 1.0))
        tissue = (full > SOFT_TISSUE.low) & (full < SOFT_TISSUE.high)
        ratios.append((kept - full)[tissue].std() / (clean - low)[tissue].std())
    return f"{np.mean(gains):+.2f} dB, {np.mean(gained):+.3f}, left {np.median(ratios):.2f}"


def denoise(model: load.LoadedModel, hu: HU, pixel_mm: float) -> HU:
    """Denoise (y, x) HU at full strength."""
    return denoise_slice(model, Slice(hu, np.ones(hu.shape, bool), None, (pixel_mm, pixel_mm)), 1.0)


def real_pairs(folder: Path) -> Pairs:
    """Read the pairs of a folder: (low, full, pixel size in mm)."""
    with ExitStack() as stack:
        (case,) = open_pair_folders(stack, [folder])
        pairs = [(case.low.read(i), case.full.read(j)) for i, j in case.pairs]
        return [(low.in_air, full.in_air, low.mean_pixel_mm or 1.0) for low, full in pairs]


def soften(low: HU, full: HU, pixel_mm: float) -> tuple[HU, HU, float]:
    """Convert a pair from the sharp to the soft kernel."""
    both = convert_kernel(np.stack([low, full]), pixel_mm, cutoff=B30.cutoff, own=D45.cutoff, side=low.shape[0])
    return both[0], both[1], pixel_mm


def simulated_pairs(folder: Path, dose: float = 0.25) -> Pairs:
    """Simulate quarter dose of every slice in a folder."""
    with ExitStack() as stack:
        slices, _ = normal_dose_slices(stack, [folder])
        pairs = []
        for item in slices:
            (scan,) = calibrate_slices([item])
            hu, pixel = item.read(), item.pixel_mm
            assert pixel is not None
            low = scan.simulator.simulate(hu, pixel, exposure=scan.exposure, dose=dose, seed=7, key=item.key)
            pairs.append((low, hu, mean_side(pixel)))
        return pairs


if __name__ == "__main__":
    main()
