"""Measure what each texture leaves of the noise on real pairs, with the dose stated and estimated.

    python -m experiments.noise_level.textures OUT.csv PAIRS [PAIRS ...] [--arrays LOW FULL PIXEL THICKNESS ...]

PAIRS: folders of quarter and full dose; --arrays: a pair of .npy files in HU with its pixel size and slice thickness in
mm. For quarter dose by the shipped model: gain in PSNR and SSIM in [-160, 240] HU, SD and mean frequency (2-D
weighting) of the noise over full dose's in the same flat regions, and the share of the noise that was mixed in. Also
the share that full dose keeps by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from experiments.common.csv_file import write_rows
from experiments.common.markdown import table
from experiments.common.pairs import open_pair_folders
from experiments.furnace.score import gains, relative_noise
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.models.noise_retention import TEXTURES, NoiseTarget, retained_share
from lowdose.models.training_domain import SeriesMeasurements, measure_series, measure_slices
from lowdose.weights.identity import DEFAULT_MODEL

DOSE = 0.25
FIGURES = ("psnr_gain", "ssim_gain", "sd", "f_av")


class Case(NamedTuple):
    """Pairs of one series, and what was measured in both of its series."""

    name: str
    pairs: list[tuple[Slice, Slice]]
    low: SeriesMeasurements
    full: SeriesMeasurements


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--arrays", nargs=4, action="append", default=[])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    model = load_by_name(arguments.model, torch.device("cpu"))
    rows = [row for case in cases(arguments.pairs, arguments.arrays) for row in measure(model, case)]
    write_rows(arguments.out, rows)
    print(table(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))


def cases(folders: list[Path], arrays: list[list[str]]) -> Iterator[Case]:
    """Yield all cases."""
    with ExitStack() as stack:
        for found in open_pair_folders(stack, folders):
            pairs = [(found.low.read(i), found.full.read(j)) for i, j in found.pairs]
            yield Case(found.name, pairs, measure_series(found.low), measure_series(found.full))
    for low, full, pixel, thickness in arrays:
        sides = (float(pixel), float(pixel))
        images = [np.load(path).astype(np.float32) for path in (low, full)]
        pair = [Slice(hu, np.ones(hu.shape, bool), None, sides) for hu in images]
        measured = [measure_slices([item], float(thickness)) for item in pair]
        yield Case(Path(low).stem.split("_")[0], [(pair[0], pair[1])], measured[0], measured[1])


def measure(model: LoadedModel, case: Case) -> Iterator[dict[str, object]]:
    """Yield a row for each texture, with the dose stated and estimated."""
    clean = [denoise_slice(replace(model, noise_kept=0.0), low, 1.0) for low, _ in case.pairs]
    for stated in (DOSE, None):
        for texture in TEXTURES:
            target = NoiseTarget(stated, texture=texture)
            share = retained_share(target, case.low)
            figures = [
                compare(one + np.float32(share) * (low.in_air - one), low, full)
                for one, (low, full) in zip(clean, case.pairs, strict=True)
            ]
            means = np.nanmean(figures, axis=0)
            yield {
                "case": case.name,
                "dose": stated or "estimated",
                "texture": texture,
                "share": f"{share:.2f}",
                "full dose keeps": f"{retained_share(NoiseTarget(texture=texture), case.full):.2f}",
                **{name: f"{value:.3f}" for name, value in zip(FIGURES, means, strict=True)},
            }


def compare(image: HU, low: Slice, full: Slice) -> tuple[float, float, float, float]:
    """Return gains in PSNR and SSIM over low dose, SD and mean frequency over full dose's."""
    noise = relative_noise(image, full.in_air, low.mean_pixel_mm or 1.0, fewest=1)
    sd, f_av = (noise.sd, noise.f_av) if noise else (float("nan"), float("nan"))
    return (*gains(image, low.in_air, full.in_air), sd, f_av)


if __name__ == "__main__":
    main()
