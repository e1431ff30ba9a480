"""Fit the bow-tie filter, beam hardening and flux of the scanner model to true low-dose noise.

    python -m experiments.physics.fit_scanner PAIRS [--kernel d45] [--only-flux] [--every 2]

PAIRS: folder with the pairs of one patient and kernel, quarter and full dose. The closed form of the noise is fitted:
the variance of a pixel is the mean over views of that of the ray through it, times the gain of the kernel
(tests/physics/test_noise_physics.py). Prints the fit; the flux is then checked against the simulator itself by
``inserted_noise``.
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.optimize import least_squares

from experiments.common.pairs import open_pair_folders
from experiments.physics.regions import regions
from lowdose.metrics.local_noise import noise_map
from lowdose.physics.dose_simulator import UPSAMPLING, projector
from lowdose.physics.geometry import Grid
from lowdose.physics.kernels import Kernel, parse_kernel
from lowdose.physics.scanner import Scanner

DOSE = 0.25
NAMES = ("flux", "bowtie_mm", "bowtie_share", "hardening")
LOWER_BOUNDS, UPPER_BOUNDS = (50.0, 150.0, 0.0, 0.0), (1e5, 490.0, 1.0, 0.02)


class NoiseSample(NamedTuple):
    """Sample points of one slice.

    Attributes
    ----------
    place : array
        Detector that each point falls on, (views, n).
    integrals : array
        Line integrals, (views, detectors).
    exposure : float
        Exposure, mAs mm.
    sd : array
        True SD of the noise, HU, (n,).
    """

    place: Any
    integrals: Any
    exposure: float
    sd: Any


def kernel_gain(kernel: Kernel, scanner: Scanner) -> float:
    """Return the variance of a pixel, HU^2, for rays of unit variance."""
    d, views = scanner.rays.sample_mm, scanner.rays.views
    f = torch.linspace(0, 0.5 / d, 4001, dtype=torch.float64)
    blur = (2 + torch.cos(2 * torch.pi * f * d / UPSAMPLING)) / 3
    integral = torch.trapezoid(f.square() * kernel.response(f, d).square() * blur, f)
    return float(np.pi**2 / views * d * 2 * integral) * (1000 / scanner.mu_water) ** 2


def read_samples(root: Path, every: int) -> list[NoiseSample]:
    """Read the sample points of every slice, or of every few."""
    found = []
    with ExitStack() as stack:
        for series in open_pair_folders(stack, [root]):
            for i, j in series.pairs[::every]:
                low, full, plane = series.low.read(i), series.full.read(j), series.full.planes[j]
                assert plane.pixel_mm
                assert plane.mas
                assert series.full.acquisition.thickness_mm
                exposure = plane.mas * series.full.acquisition.thickness_mm
                found.append(_sample(low.hu, full.hu, plane.pixel_mm, exposure))
    return found


def _sample(low: Any, full: Any, pixel_mm: tuple[float, float], exposure: float) -> NoiseSample:
    scanner = Scanner()
    grid = Grid(full.shape, pixel_mm)
    lines = projector(scanner.rays, grid).forward(torch.from_numpy(scanner.attenuation(full))).numpy()
    body = regions(full, pixel_mm[0])[1]
    points = np.argwhere(binary_erosion(body, iterations=8)[4::12, 4::12]) * 12 + 4
    y, x = grid.axes()
    angle = scanner.rays.angles()[:, None]
    side = y[points[:, 0]] * np.sin(angle) + x[points[:, 1]] * np.cos(angle)
    place = np.rint(side / scanner.rays.sample_mm + (scanner.rays.detectors - 1) / 2).astype(int)
    sd = noise_map(low - full, body)[points[:, 0], points[:, 1]]
    return NoiseSample(place, gaussian_filter(lines.astype(np.float64), (0, 2)), exposure, sd)


def predict_sd(sample: NoiseSample, scanner: Scanner, kernel: Kernel) -> Any:
    """Return the SD of the noise that DOSE adds at the points of a slice, HU, (n,)."""
    photons = scanner.air(sample.exposure) * np.exp(-scanner.harden(sample.integrals))
    missing = (1 - DOSE) / DOSE / photons + (1 - DOSE**2) / DOSE**2 * scanner.electronic / photons**2
    variance = missing / (1 - 2 * scanner.hardening * sample.integrals) ** 2
    along = np.take_along_axis(variance, np.clip(sample.place, 0, variance.shape[1] - 1), axis=1)
    return np.sqrt(along.mean(axis=0) * kernel_gain(kernel, scanner))


def main() -> None:
    """Fit and print the parameters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--kernel", default="d45")
    parser.add_argument("--only-flux", action="store_true", help="keep the bow-tie filter and the hardening")
    parser.add_argument("--every", type=int, default=1, help="step between slices; 2: every second slice")
    arguments = parser.parse_args()
    kernel, found = parse_kernel(arguments.kernel), read_samples(arguments.pairs, arguments.every)
    free = 1 if arguments.only_flux else len(NAMES)
    start = [getattr(Scanner(), name) for name in NAMES[:free]]

    def scanner(values: Any) -> Scanner:
        return replace(Scanner(), **dict(zip(NAMES, map(float, values), strict=False)))

    def misfit(values: Any) -> Any:
        logs = [np.log(predict_sd(one, scanner(values), kernel) / one.sd) / np.sqrt(len(one.sd)) for one in found]
        return np.concatenate(logs)

    fit = least_squares(misfit, start, bounds=(LOWER_BOUNDS[:free], UPPER_BOUNDS[:free]), x_scale=start, diff_step=1e-2)
    fitted = scanner(fit.x)
    ratios = [float(np.median(predict_sd(one, fitted, kernel) / one.sd)) for one in found]
    print(", ".join(f"{name} {getattr(fitted, name):.4g}" for name in NAMES), f"({len(found)} slices)")
    print(
        f"SD, closed form over true: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; rms of the log per slice ", end=""
    )
    print(f"{np.sqrt(2 * fit.cost / len(found)):.3f}")


if __name__ == "__main__":
    main()
