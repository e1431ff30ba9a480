r"""Measure how well the drift score separates denoising from invented changes, and give its rates.

    experiments/leda/measure_drift.sh AUTOENCODER SHARED_CT OUT     # all of it, and the calibrated autoencoder

    python -m experiments.leda.drift_detection measure AUTOENCODER --out calibration.json --seeds 1 \
        --real rider-chest-ge kits-abdomen-siemens
    python -m experiments.leda.drift_detection measure AUTOENCODER --out held_out.json --seeds 61 \
        --real totalsegmentator-abdomen-siemens/dicom ny-sbu-chest/*/190012*.dcm
    python -m experiments.leda.drift_detection table AUTOENCODER calibration.json held_out.json

The input is made from each slice (normal dose, or of a digital patient with 8 HU of noise) by adding shaped noise of 15
to 40 HU. Honest results are the input denoised by "fast" and "gaussian". False results are that of "fast" with a lesion
pasted (15 to 30 mm: "pasted", 8 to 15 mm: "small"; 60 HU above or below its organ; in the lung solid, or that much
above it), or with one organ filled with fat. All are compared with the input. A false result counts as found if a
region that it reaches is flagged by the limits in the file of the autoencoder (``calibrate_limits``). Intervals are
Wilson's and take results as independent, which those of one patient are not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from experiments.common import markdown
from experiments.leda import false_results
from lowdose.image import HU, Mask, Slice
from lowdose.infer import pipeline
from lowdose.io.open_series import open_source
from lowdose.language import autoencoder_file, drift, explanation
from lowdose.language.word_limits import WordLimits
from lowdose.models import load
from lowdose.networks import anatomy, segmentation
from lowdose.phantom.patient import digital_patient

CPU = torch.device("cpu")
MIN_SHARE = 0.05
"""Share of the pixels of a region that a change must reach for the region to count as its place."""

KINDS = ("honest", "pasted", "small", "erased")

Scan = tuple[str, HU, tuple[float, float]]
Row = dict[str, Any]


def input_scans(paths: Sequence[Path], each: int, seeds: Sequence[int], rng: np.random.Generator) -> Iterator[Scan]:
    """Yield slices of real series and of digital patients: name, (y, x) HU and pixel size."""
    for path in paths:
        with open_source(path) as source:
            count = min(each, len(source))
            for place in np.linspace(0.1, 0.9, count) if count > 1 else [0.5]:
                item = source.read(int(place * len(source)))
                yield f"{path.parent.name}/{path.name}", item.in_air, item.pixel_mm or (0.8, 0.8)
    for seed in seeds:
        person = digital_patient(seed, slices=2, spacing_mm=40.0, thickness_mm=3.0)
        for hu in person.volume.hu:
            blurred = ndimage.gaussian_filter(hu, 0.6) + false_results.noise(hu.shape, 0.74, 8.0, rng)
            yield f"digital {seed}", blurred.astype(np.float32), (0.74, 0.74)


def measure_scan(scan: Scan, ae: autoencoder_file.LanguageGuidedAutoencoder, rng: np.random.Generator) -> Iterator[Row]:
    """Yield a row for each honest and false result of one slice."""
    name, hu, spacing = scan
    pixel, net = float(np.sqrt(spacing[0] * spacing[1])), anatomy.load_anatomy()
    organs = segmentation.segment_slice(net, hu, spacing)
    sd = float(rng.uniform(15, 40))
    near = ndimage.binary_dilation(organs > 0, iterations=5)
    noisy = (hu + false_results.noise(hu.shape, pixel, sd, rng) * np.where(near, 1, 0.3)).astype(np.float32)
    item = Slice(noisy, np.ones(hu.shape, bool), 0.0, spacing)
    results: dict[tuple[str, str], tuple[HU, Mask]] = {}
    for method in ("fast", "gaussian"):
        made = pipeline.denoise_slice(load.load_by_name(method, CPU), item, 1.0)
        results["honest", method] = made, np.zeros(hu.shape, bool)
    clean = results["honest", "fast"][0]
    small_lesion = partial(false_results.paste_lesion, diameters=false_results.SMALL_MM)
    for kind, names, change in (
        ("pasted", false_results.LESION_SITES, false_results.paste_lesion),
        ("small", false_results.LESION_SITES, small_lesion),
        ("erased", false_results.ORGANS, false_results.erase_organ),
    ):
        tried = ((what, change(clean, organs, what, pixel, rng)) for what in rng.permutation(names))
        fitting = [(str(what), made) for what, made in tried if made is not None]
        results |= {(kind, what): made for what, made in fitting[:2]}
    before = explanation.explain_slice(ae, noisy)
    for (kind, what), (image, mask) in results.items():
        found = drift.measure_drift(before, explanation.explain_slice(ae, image))
        share = [[float(mask[slice(*r), slice(*c)].mean()) for c in found.columns] for r in found.rows]
        score = found.score.astype(float).round(4).tolist()
        moved = found.moved.tolist()
        yield {"scan": name, "sd": sd, "kind": kind, "what": what, "score": score, "share": share, "moved": moved}


def detection_rates(rows: Sequence[Row], limits: WordLimits) -> Iterator[list[str]]:
    """Yield a row for each kind of result: how many are flagged where they should be, and elsewhere."""
    kinds = dict.fromkeys((row["kind"], key) for row in rows for key in ("all", row["what"]))
    for kind, what in sorted(kinds, key=lambda pair: KINDS.index(pair[0])):
        some = [row for row in rows if row["kind"] == kind and what in ("all", row["what"])]
        found = [_flags(row, limits) for row in some]
        hits, top, usual, elsewhere = (np.array(values) for values in zip(*found, strict=True))
        slices = len({(row["scan"], row["sd"]) for row in some})
        low, high = wilson(int(hits.sum()), len(some))
        spread = [f"{np.min(v):.2f} / {np.median(v):.2f} / {np.max(v):.2f}" for v in (top, top / usual)]
        rate = f"{hits.sum()} of {len(some)}, {100 * low:.0f}–{100 * high:.0f} %"
        yield [kind, what, f"{len(some)} ({slices})", rate, f"{elsewhere.mean():.2f}", *spread]


def _flags(row: Row, limits: WordLimits) -> tuple[bool, float, float, int]:
    """Return whether a result is flagged where it should be, the highest score there, the usual one, flags elsewhere.

    An honest result should not be flagged anywhere.
    """
    score, share = np.array(row["score"]), np.array(row["share"])
    usual = float(np.quantile(score, drift.USUAL_CHANGE))
    flagged = score > limits.drift(usual)
    place = (share >= min(MIN_SHARE, share.max())) & (share > 0) if row["kind"] != "honest" else np.ones_like(flagged)
    elsewhere = int((flagged & (share == 0)).sum())
    return bool((flagged & place).any()), float(score.max(where=place, initial=0.0)), usual, elsewhere


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    middle, half = hits + z * z / 2, z * float(np.sqrt(hits * (n - hits) / n + z * z / 4))
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))


HEADER = ["result", "what", "n (slices)", "flagged", "flags elsewhere", "score: least / median / most", "over usual"]


def main() -> None:
    """Measure scores, or print their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("autoencoder")
    measure.add_argument("--real", type=Path, nargs="*", default=[], help="folders or files of normal-dose CT")
    measure.add_argument("--each", type=int, default=4, help="slices of each series")
    measure.add_argument("--seeds", type=int, nargs="*", default=[], help="seeds of digital patients, two slices each")
    measure.add_argument("--out", type=Path, required=True)
    table = commands.add_parser("table")
    table.add_argument("autoencoder")
    table.add_argument("rows", type=Path, nargs="+")
    arguments = parser.parse_args()
    autoencoder = autoencoder_file.load_autoencoder(arguments.autoencoder, CPU)
    if arguments.command == "table":
        for path in arguments.rows:
            rates = detection_rates(json.loads(path.read_text()), autoencoder.limits)
            print(f"\n{path.stem}\n\n{markdown.table(HEADER, rates)}")
        return
    rng, rows = np.random.default_rng(0), list[Row]()
    for scan in input_scans(arguments.real, arguments.each, arguments.seeds, rng):
        rows += measure_scan(scan, autoencoder, rng)
        arguments.out.write_text(json.dumps(rows))
        print(scan[0], *(row["what"] for row in rows if row["scan"] == scan[0]), flush=True)


if __name__ == "__main__":
    main()
