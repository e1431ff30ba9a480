"""Measure models on real pairs at full strength, and at the blend with the input that suits each best.

    python -m experiments.zoo.blend OUT PAIRS ... [--model NAME ...] [--each N]

PAIRS: folders of quarter and full dose. Series of one kernel form a group. In each, every model and every classical
filter is blended with its input at strengths of 0.3 to 1 in steps of 0.05, and that of the highest mean PSNR is
measured in addition to full strength. It is chosen on the slices it is measured on, for all alike: an upper bound, not
what a user gets. Metrics are those of ``lowdose evaluate`` (profile "default"). Prints Markdown and writes
OUT/blend.json (a row for each slice and strength).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from experiments.common import markdown
from experiments.common.pairs import open_pair_folders
from experiments.zoo import scans, tables
from experiments.zoo.tables import Row
from lowdose.evaluation.images import fit_models_to_case
from lowdose.image import AIR, HU
from lowdose.infer.pipeline import denoise_slice
from lowdose.io.pairing import PairedSeries
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.profiles import PROFILES, measure_fidelity
from lowdose.metrics.statistics import paired_difference
from lowdose.models.load import LoadedModel

STRENGTHS = tuple(round(0.3 + 0.05 * n, 2) for n in range(15))
LOW = "low dose"
PROFILE = PROFILES["default"]
HEADER = [
    "image",
    "strength",
    "PSNR (dB)",
    "against the best filter",
    "SSIM",
    "FSIM",
    "VIF",
    "noise SD (HU)",
    "f_av (1/mm)",
]


class BlendedPair:
    """One pair with the results of all models, (y, x) HU, with air where either side is padded."""

    def __init__(self, case: PairedSeries, pair: tuple[int, int], models: Sequence[LoadedModel]) -> None:
        low, full = case.low.read(pair[0]), case.full.read(pair[1])
        valid = low.valid & full.valid
        self.facts = {
            "group": kernel_group(case),
            "slice": f"{case.name}, {scans.position_text(low)}",
            "patient": case.patient,
        }
        self.pixel_mm = low.mean_pixel_mm or 1.0
        self.valid = valid
        self.full, self.low = (np.where(valid, item.hu, AIR) for item in (full, low))
        self.denoised = {model.name: np.where(valid, denoise_slice(model, low, 1.0), AIR) for model in models}

    def blended(self, name: str, strength: float) -> HU:
        """Blend a result with the input as ``denoise_slice`` does."""
        return self.low + np.float32(strength) * (self.denoised[name] - self.low)

    def psnr(self, name: str, strength: float) -> float:
        """Return the PSNR of a blend."""
        a, b = (PROFILE.window.apply(hu) for hu in (self.blended(name, strength), self.full))
        return psnr(a, b, 1.0)

    def row(self, name: str, strength: float) -> Row:
        """Return all metrics of a blend."""
        hu = self.low if name == LOW else self.blended(name, strength)
        level = noise_level(hu, self.valid, self.pixel_mm)
        noise = {"noise": level.sd, "f_av": level.f_av} if level else {}
        return self.facts | {"image": name, "strength": strength} | measure_fidelity(hu, self.full, PROFILE) | noise


def kernel_group(case: PairedSeries) -> str:
    """Return the kernel of a pair, or its name where no kernel is stated."""
    return case.full.acquisition.kernel or case.low.acquisition.kernel or case.name


def best_strength(psnrs: dict[float, list[float]]) -> float:
    """Return the strength of the highest mean PSNR; of equal ones the stronger."""
    return max(psnrs, key=lambda strength: (float(np.mean(psnrs[strength])), strength))


def measure_group(pairs: Sequence[BlendedPair], models: Sequence[LoadedModel]) -> Iterator[Row]:
    """Yield the rows of the input and of every model of one group."""
    yield from (pair.row(LOW, 0.0) for pair in pairs)
    for model in models:
        grid = {strength: [pair.psnr(model.name, strength) for pair in pairs] for strength in STRENGTHS}
        for strength in dict.fromkeys((1.0, best_strength(grid))):
            for pair in pairs:
                yield pair.row(model.name, strength) | {"best": strength == best_strength(grid)}


def table_rows(rows: Sequence[Row], filters: Sequence[str]) -> Iterator[list[str]]:
    """Yield the table; differences are slice by slice from the filter of highest PSNR at its own best strength."""
    keys = list(dict.fromkeys((row["image"], row["strength"]) for row in rows))
    own = {key: [row for row in rows if (row["image"], row["strength"]) == key] for key in keys}
    psnrs = {key: [row["psnr"] for row in found] for key, found in own.items()}
    rival = max((key for key in keys if key[0] in filters), key=lambda key: float(np.mean(psnrs[key])), default=None)
    for key in keys:
        patients = [row["patient"] for row in own[key]]
        gap = paired_difference(psnrs[key], psnrs[rival], patients, 0) if rival and rival != key else None
        figures = [markdown.summary_cell(tables.column_mean(own[key], metric), 3) for metric in ("ssim", "fsim", "vif")]
        noise = [tables.column_mean(own[key], what) for what in ("noise", "f_av")]
        best = " (best)" if own[key][0].get("best") else ""
        yield [
            key[0],
            "–" if key[0] == LOW else f"{key[1]:g}{best}",
            markdown.summary_cell(tables.column_mean(own[key], "psnr"), 2),
            markdown.summary_cell(gap, 2, "+"),
            *figures,
            *(f"{found.mean:.{digits}f}" if found else "–" for found, digits in zip(noise, (1, 3), strict=True)),
        ]


def main() -> None:
    """Measure all groups, write the rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+", help="folders of pairs")
    scans.add_model_option(parser)
    parser.add_argument("--each", type=int, default=100, help="most slices of each series")
    arguments = parser.parse_args()
    models = scans.load_models(arguments.model)
    groups: dict[str, list[BlendedPair]] = {}
    with ExitStack() as stack:
        for case in open_pair_folders(stack, arguments.pairs):
            fitted = fit_models_to_case(case, models)
            for number in sorted(scans.spread_indices(len(case.pairs))[: arguments.each]):
                groups.setdefault(kernel_group(case), []).append(BlendedPair(case, case.pairs[number], fitted))
    rows = [row for pairs in groups.values() for row in measure_group(pairs, models)]
    tables.save(arguments.out, "blend", {"models": {m.name: m.sha256 for m in models}, "profile": PROFILE.name}, rows)
    for name in groups:
        own = [row for row in rows if row["group"] == name]
        print(f"\n### {name}: {tables.count_text(own)}\n")
        print(markdown.table(HEADER, table_rows(own, [model.name for model in models if not model.sha256])))


if __name__ == "__main__":
    main()
