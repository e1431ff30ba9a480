"""Models at full strength on real pairs, and at the strength that suits each best.

    python benchmarks/zoo/blend.py OUT PAIRS ... [--model NAME ...] [--each N]

PAIRS: folders of quarter and full dose. Series of one kernel are a group; in each, every model and every classical
filter is blended with its input at strengths 0.3 to 1 in steps of 0.05, and the one of highest mean PSNR is measured,
too. It is chosen on the very slices it is measured on, for all alike: an upper bound, not what a user gets. Metrics as
'lowdose evaluate' has them (profile 'default'). Prints Markdown, writes OUT/blend.json (a row a slice and strength).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import scans
import tables
from tables import Row

from lowdose.evaluation.images import fit_models_to_case
from lowdose.image import AIR, HU
from lowdose.infer.pipeline import denoise_slice
from lowdose.io.pairing import PairedSeries, find_pairs, open_pairs
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.profiles import PROFILES, measure_fidelity
from lowdose.metrics.statistics import paired_difference
from lowdose.models.load import LoadedModel

STRENGTHS = tuple(round(0.3 + 0.05 * n, 2) for n in range(15))
LOW = "low dose"
PROFILE = PROFILES["default"]
HEADS = [
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


class Shown:
    """One pair in every version, (y, x) HU with air where either is padded; kept until the strengths are chosen."""

    def __init__(self, case: PairedSeries, pair: tuple[int, int], models: Sequence[LoadedModel]) -> None:
        low, full = case.low.read(pair[0]), case.full.read(pair[1])
        valid = low.valid & full.valid
        self.facts = {"group": group_of(case), "slice": f"{case.name}, {scans.at(low)}", "patient": case.patient}
        self.pixel_mm = low.mean_pixel_mm or 1.0
        self.valid = valid
        self.full, self.low = (np.where(valid, item.hu, AIR) for item in (full, low))
        self.made = {model.name: np.where(valid, denoise_slice(model, low, 1.0), AIR) for model in models}

    def blended(self, name: str, strength: float) -> HU:
        """As ``denoise_slice`` blends."""
        return self.low + np.float32(strength) * (self.made[name] - self.low)

    def psnr(self, name: str, strength: float) -> float:
        a, b = (PROFILE.window.apply(hu) for hu in (self.blended(name, strength), self.full))
        return psnr(a, b, 1.0)

    def row(self, name: str, strength: float) -> Row:
        hu = self.low if name == LOW else self.blended(name, strength)
        level = noise_level(hu, self.valid, self.pixel_mm)
        noise = {"noise": level.sd, "f_av": level.f_av} if level else {}
        return self.facts | {"image": name, "strength": strength} | measure_fidelity(hu, self.full, PROFILE) | noise


def group_of(case: PairedSeries) -> str:
    return case.full.acquisition.kernel or case.low.acquisition.kernel or case.name


def best_strength(psnrs: dict[float, list[float]]) -> float:
    """Of the highest mean; the stronger of equal ones."""
    return max(psnrs, key=lambda strength: (float(np.mean(psnrs[strength])), strength))


def of_group(pairs: Sequence[Shown], models: Sequence[LoadedModel]) -> Iterator[Row]:
    yield from (pair.row(LOW, 0.0) for pair in pairs)
    for model in models:
        grid = {strength: [pair.psnr(model.name, strength) for pair in pairs] for strength in STRENGTHS}
        for strength in dict.fromkeys((1.0, best_strength(grid))):
            for pair in pairs:
                yield pair.row(model.name, strength) | {"best": strength == best_strength(grid)}


def lines(rows: Sequence[Row], filters: Sequence[str]) -> Iterator[list[str]]:
    """The best filter is the one of highest PSNR at its own best strength; differences are slice by slice."""
    keys = list(dict.fromkeys((row["image"], row["strength"]) for row in rows))
    own = {key: [row for row in rows if (row["image"], row["strength"]) == key] for key in keys}
    psnrs = {key: [row["psnr"] for row in found] for key, found in own.items()}
    rival = max((key for key in keys if key[0] in filters), key=lambda key: float(np.mean(psnrs[key])), default=None)
    for key in keys:
        patients = [row["patient"] for row in own[key]]
        gap = paired_difference(psnrs[key], psnrs[rival], patients, 0) if rival and rival != key else None
        figures = [tables.cell(tables.mean(own[key], metric), 3) for metric in ("ssim", "fsim", "vif")]
        noise = [tables.mean(own[key], what) for what in ("noise", "f_av")]
        best = " (best)" if own[key][0].get("best") else ""
        yield [
            key[0],
            "–" if key[0] == LOW else f"{key[1]:g}{best}",
            tables.cell(tables.mean(own[key], "psnr"), 2),
            tables.cell(gap, 2, "+"),
            *figures,
            *(f"{found.mean:.{digits}f}" if found else "–" for found, digits in zip(noise, (1, 3), strict=True)),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+", help="folders of pairs")
    scans.add_models(parser)
    parser.add_argument("--each", type=int, default=100, help="most slices of each series")
    asked = parser.parse_args()
    models = scans.ready(asked.model)
    groups: dict[str, list[Shown]] = {}
    with ExitStack() as stack:
        places = [(pair.name, pair.low, pair.full) for root in asked.pairs for pair in find_pairs(root)]
        for case in open_pairs(stack, places):
            fitted = fit_models_to_case(case, models)
            for number in sorted(scans.spread(len(case.pairs))[: asked.each]):
                groups.setdefault(group_of(case), []).append(Shown(case, case.pairs[number], fitted))
    rows = [row for pairs in groups.values() for row in of_group(pairs, models)]
    tables.save(asked.out, "blend", {"models": {m.name: m.sha256 for m in models}, "profile": PROFILE.name}, rows)
    for name in groups:
        own = [row for row in rows if row["group"] == name]
        print(f"\n### {name}: {tables.counted(own)}\n")
        print(tables.table(HEADS, lines(own, [model.name for model in models if not model.sha256])))


if __name__ == "__main__":
    main()
