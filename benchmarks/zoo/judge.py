"""What choices are made on: models against each other on patients held out, never on the test patient.

python benchmarks/zoo/judge.py SET PAIRS/L096-3mm-D45f MODEL ...

SET: what training_set.py wrote; quarter dose of the patients in SET/check is made by the exact simulator. L096: real
pairs of a sharp kernel, and the same pairs at a soft one, by the ratio of the two windows. Gains over the input in
[-160, 240] HU; left: the SD of what the model takes out of full dose, over that of quarter dose.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from lowdose.cli.cases import open_cases
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
    data, real, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    sharp = real_pairs(real)
    groups = {
        "L096 D45f": sharp,
        "L096 as B30": [softened(*pair) for pair in sharp],
        "held out, simulated": simulated_pairs(data / "check"),
    }
    print("| model | " + " | ".join(f"{name} (n = {len(pairs)})" for name, pairs in groups.items()) + " |")
    print("|---" * (len(groups) + 1) + "|")
    for name in names:
        model = load.load_by_name(name, torch.device("cpu"))
        print(f"| {model.name} | " + " | ".join(row(model, pairs) for pairs in groups.values()) + " |", flush=True)


def row(model: load.LoadedModel, pairs: Pairs) -> str:
    gains, gained, ratios = [], [], []
    for low, full, pixel in pairs:
        clean, kept = (apply(model, hu, pixel) for hu in (low, full))
        seen, target, input_ = (SOFT_TISSUE.apply(hu) for hu in (clean, full, low))
        gains.append(psnr(seen, target, 1.0) - psnr(input_, target, 1.0))
        gained.append(ssim(seen, target, 1.0) - ssim(input_, target, 1.0))
        tissue = (full > SOFT_TISSUE.low) & (full < SOFT_TISSUE.high)
        ratios.append((kept - full)[tissue].std() / (clean - low)[tissue].std())
    return f"{np.mean(gains):+.2f} dB, {np.mean(gained):+.3f}, left {np.median(ratios):.2f}"


def apply(model: load.LoadedModel, hu: HU, pixel_mm: float) -> HU:
    return denoise_slice(model, Slice(hu, np.ones(hu.shape, bool), None, (pixel_mm, pixel_mm)), 1.0)


def real_pairs(folder: Path) -> Pairs:
    with ExitStack() as stack:
        (case,) = open_cases(stack, [], [], folder)
        pairs = [(case.low.read(i), case.full.read(j)) for i, j in case.pairs]
        return [(low.in_air, full.in_air, low.mean_pixel_mm or 1.0) for low, full in pairs]


def softened(low: HU, full: HU, pixel_mm: float) -> tuple[HU, HU, float]:
    both = convert_kernel(np.stack([low, full]), pixel_mm, cutoff=B30.cutoff, own=D45.cutoff, side=low.shape[0])
    return both[0], both[1], pixel_mm


def simulated_pairs(folder: Path, dose: float = 0.25) -> Pairs:
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
