"""Compare the mean noise frequency of single images with that of the noise itself, known from phantoms and pairs.

    python -m experiments.noise_level.mean_frequency PHANTOMS PAIRS [PAIRS ...] [--arrays LOW FULL PIXEL ...]

All with 2-D weighting. PHANTOMS: folder with ge-ct750 and ct-recon-simulated, whose water gives the spectrum. PAIRS:
folders of quarter and full dose, whose difference is noise: its spectrum is that of both doses. Prints Markdown: the
ratio of what `noise_level` reads to that, median over slices (lowest to highest).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from experiments.common.markdown import table
from experiments.common.pairs import open_pair_folders
from experiments.noise_level.uniform_phantom import figures, phantoms
from lowdose.image import HU, Mask
from lowdose.metrics.noise_estimate import noise_level, soft_tissue
from lowdose.metrics.noise_frequency import f_av_2d
from lowdose.metrics.noise_power import difference_nps

Ratio = tuple[str, str, float]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phantoms", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--arrays", nargs=3, action="append", default=[])
    arguments = parser.parse_args()
    found = [*of_phantoms(arguments.phantoms), *of_pairs(arguments.pairs), *of_arrays(arguments.arrays)]
    rows = []
    for key in dict.fromkeys((name, image) for name, image, _ in found):
        ratios = [ratio for name, image, ratio in found if (name, image) == key]
        rows.append([*key, str(len(ratios)), f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
    print(table(["images", "dose", "slices", "read over true f_av"], rows))


def of_phantoms(folder: Path) -> Iterator[Ratio]:
    """Yield the ratio of each slice of water."""
    for phantom in phantoms(folder):
        true = figures(phantom, phantom.slices)["f_av"]
        for hu in phantom.slices:
            level = noise_level(hu, np.ones(hu.shape, bool), phantom.pixel_mm)
            if level is not None:
                yield phantom.name, "as it is", level.f_av_2d / true


def of_pairs(folders: list[Path]) -> Iterator[Ratio]:
    """Yield the ratios of both doses of each pair of slices."""
    with ExitStack() as stack:
        for case in open_pair_folders(stack, folders):
            for i, j in case.pairs:
                low, full = case.low.read(i), case.full.read(j)
                yield from ratios(case.name, low.hu, full.hu, low.valid & full.valid, low.mean_pixel_mm or 1.0)


def of_arrays(arrays: list[list[str]]) -> Iterator[Ratio]:
    """Yield the ratios of pairs of .npy files in HU."""
    for low, full, pixel in arrays:
        images = [np.load(path).astype(np.float32) for path in (low, full)]
        yield from ratios(Path(low).stem.split("_")[0], images[0], images[1], images[0] > -2000, float(pixel))


def ratios(name: str, low: HU, full: HU, valid: Mask, pixel_mm: float) -> Iterator[Ratio]:
    """Yield the ratio of quarter and full dose."""
    region = soft_tissue(full, pixel_mm)[1] & valid
    true = f_av_2d(difference_nps(low - full, region, pixel_mm, 32, 1.0), pixel_mm)
    for image, hu in (("quarter", low), ("full", full)):
        level = noise_level(hu, valid, pixel_mm)
        if level is not None:
            yield name, image, level.f_av_2d / true


if __name__ == "__main__":
    main()
