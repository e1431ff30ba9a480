"""Measure what each texture does to the noise of a uniform phantom: SD, mean frequency, and where its spectrum peaks.

    python -m experiments.noise_level.uniform_phantom OUT.csv PHANTOMS [--model NAME] [--means PX ...]

PHANTOMS: folder with ge-ct750/imgA.dcm, imgB.dcm (water) and ct-recon-simulated. --means: other widths of the local
means that the model keeps, 0 = none. The dose is estimated, and stated as a quarter. Radial spectra of squares of 64
pixels (32 for the simulated phantom of 1 mm pixels), smoothed over three rings, since a peak of few squares is noisy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import torch
from scipy.ndimage import uniform_filter1d

from experiments.common.csv_file import write_rows
from experiments.common.markdown import table
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.noise_frequency import Spectrum, f_av_2d, f_peak, radial_average
from lowdose.metrics.noise_power import nps
from lowdose.metrics.rois import corners_within, cut_squares
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.models.noise_retention import TEXTURES, NoiseTarget, retained_share
from lowdose.models.training_domain import measure_slices
from lowdose.weights.identity import DEFAULT_MODEL


class Phantom(NamedTuple):
    """Slices of water: HU, pixel size and thickness in mm, radius of the water and side of the squares in pixels."""

    name: str
    slices: list[HU]
    pixel_mm: float
    thickness_mm: float
    radius_px: float
    side: int


def main() -> None:
    """Measure all phantoms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("phantoms", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--means", type=float, nargs="*", default=[])
    arguments = parser.parse_args()
    model = load_by_name(arguments.model, torch.device("cpu"))
    rows = []
    widths = (model.denoiser.local_means_px, *arguments.means)
    for phantom in phantoms(arguments.phantoms):
        for means in widths:
            model.denoiser.stated_means_px = means
            rows += measure(model, phantom, means)
    write_rows(arguments.out, rows)
    print(table(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))


def phantoms(folder: Path) -> Iterator[Phantom]:
    """Yield the phantoms below a folder."""
    files = [pydicom.dcmread(folder / "ge-ct750" / name) for name in ("imgA.dcm", "imgB.dcm")]
    slices = [
        (file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)).astype(np.float32)
        for file in files
    ]
    yield Phantom(
        "GE CT750", slices, float(files[0].PixelSpacing[0]), float(files[0].get("SliceThickness") or 5.0), 190, 64
    )
    paths = sorted((folder / "ct-recon-simulated" / "uniform_water_phan" / "fbp_sharp").glob("*.raw"))[:6]
    raw = [np.fromfile(path, "<i2").reshape(256, 256).astype(np.float32) for path in paths]
    yield Phantom("simulated, sharp", raw, 0.98, 3.0, 105, 32)


def measure(model: LoadedModel, phantom: Phantom, means: float) -> Iterator[dict[str, object]]:
    """Yield a row for each dose and texture."""
    sides = (phantom.pixel_mm, phantom.pixel_mm)
    items = [Slice(hu, np.ones(hu.shape, bool), None, sides) for hu in phantom.slices]
    measured = measure_slices(items, phantom.thickness_mm)
    clean = [denoise_slice(replace(model, noise_kept=0.0), item, 1.0) for item in items]
    before = figures(phantom, phantom.slices)
    for dose, texture in product((None, 0.25), TEXTURES):
        share = np.float32(retained_share(NoiseTarget(dose, texture=texture), measured))
        after = figures(phantom, [one + share * (hu - one) for one, hu in zip(clean, phantom.slices, strict=True)])
        yield {
            "phantom": phantom.name,
            "local means (px)": f"{means:g}", "dose": dose or "estimated", "texture": texture,
            "share": f"{share:.2f}",
            **{f"{name} before": f"{value:.3g}" for name, value in before.items()},
            **{f"{name} after": f"{value:.3g}" for name, value in after.items()},
        }  # fmt: skip


def figures(phantom: Phantom, slices: list[HU]) -> dict[str, float]:
    """Return SD (HU), mean frequency (2-D weighting) and peak of the spectrum (1/mm)."""
    size = slices[0].shape[0]
    water = np.hypot(*(np.mgrid[:size, :size] - (size - 1) / 2)) < phantom.radius_px
    corners = corners_within(water, phantom.side, phantom.side // 2)
    power = np.mean([nps(cut_squares(hu, corners, phantom.side), phantom.pixel_mm) for hu in slices], axis=0)
    radial = radial_average(power, phantom.pixel_mm)
    smooth = Spectrum(radial.frequency, uniform_filter1d(radial.power, 3))
    sd = float(np.sqrt(power.sum())) / (phantom.side * phantom.pixel_mm)
    return {"SD": sd, "f_av": f_av_2d(power, phantom.pixel_mm), "f_peak": f_peak(smooth)}


if __name__ == "__main__":
    main()
