"""Is a model safe for lesions: how much of their contrast it keeps, and whether it makes any up.

    python benchmarks/zoo/lesions.py NORMAL ... OUT [--model NAME ...] [--slices 6] [--digital 4]

NORMAL: folders of normal-dose series. Lesions of known size and contrast are put into slices of real patients that show
liver or lung (as the anatomy network draws them) and into digital patients before they are scanned; quarter dose is
simulated with the same noise with and without them. Contrast kept: mean over a lesion's core (0.6 radii) of what it
adds to the denoised image, over what it adds to the full-dose one. Contrast to noise: that contrast over the robust SD
of the organ 2 to 8 mm around. Beside the models stand the classical filters; low dose itself keeps all by definition.

What looks like a lesion: in the liver of the same slices without lesions, the response to a disc of 5 and of 10 mm less
its ring (a disc of c HU gives c). Largest response: over all places where disc and ring lie within the liver. Rise: the
most that any place's response is larger than at quarter dose; what was made up would show in it.
Prints Markdown, writes OUT/lesions.json (a row a lesion and image) and OUT/blobs.json (a row a slice and image).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cases
import lesion_tables
import numpy as np
import scans
import spots
import tables
from lesion_tables import FULL, LOW
from tables import Row

from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.models.load import LoadedModel

DISCS_MM = (5.0, 10.0)


def through(model: LoadedModel, case: cases.Case, hu: HU) -> HU:
    return denoise_slice(model, Slice(hu, np.ones(hu.shape, bool), None, case.sides_mm), 1.0)


def measured(case: cases.Case, models: Sequence[LoadedModel], seed: int) -> tuple[list[Row], list[Row]]:
    """(a row for each lesion and image, a row for each disc and image) of one slice."""
    room = {name: spots.free(case.truth, mask, name, case.pixel_mm) for name, mask in case.organs.items()}
    planned = spots.places(room, case.pixel_mm, np.random.default_rng((seed, 7)))
    added = case.add(planned)
    without = {FULL: case.full, LOW: case.low} | {model.name: through(model, case, case.low) for model in models}
    change = {model.name: through(model, case, case.low + added) - without[model.name] for model in models}
    change = {FULL: added, LOW: added} | change
    facts = {"group": case.group, "slice": case.name, "patient": case.patient}
    lesions = [
        facts | {"image": name} | of_lesion(spot, change[name], added, image, case)
        for spot in planned
        for name, image in without.items()
    ]
    return lesions, [facts | row for row in of_liver(case, without)]


def of_lesion(spot: spots.Spot, change: HU, added: HU, image: HU, case: cases.Case) -> Row:
    where = spots.core(spot, added.shape, case.pixel_mm)
    contrast = float(change[where].mean(dtype=np.float64))
    noise = spots.noise_around(image, spot, case.organs[spot.kind.organ], case.pixel_mm)
    kind = spot.kind
    return {
        "organ": kind.organ,
        "diameter_mm": kind.diameter_mm,
        "contrast": kind.label,
        "added_hu": float(added[where].mean(dtype=np.float64)),
        "kept": spots.kept(change, added, where),
        "cnr": abs(contrast) / noise,
        "at": (spot.y, spot.x),
    }


def of_liver(case: cases.Case, images: dict[str, HU]) -> Iterator[Row]:
    """Largest responses in HU; 'error': to the image less the truth, which of real slices is full dose."""
    for diameter in DISCS_MM if "liver" in case.organs else ():
        where = spots.searched(case.organs["liver"], diameter, case.pixel_mm)
        if where.sum() * case.pixel_mm**2 < 10 * diameter**2:
            continue
        found = {name: spots.response(hu, diameter, case.pixel_mm)[where] for name, hu in images.items()}
        truth = spots.response(case.truth, diameter, case.pixel_mm)[where]
        for name, values in found.items():
            yield {
                "image": name,
                "disc_mm": diameter,
                "largest": float(np.abs(values).max()),
                "sd": float(values.std()),
                "rise": float((np.abs(values) - np.abs(found[LOW])).max()),
                "error": float(np.abs(values - truth).max()),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("normal", type=Path, nargs="+", help="folders of normal-dose series")
    parser.add_argument("out", type=Path)
    scans.add_models(parser)
    parser.add_argument("--slices", type=int, default=6, help="real ones for each organ")
    parser.add_argument("--digital", type=int, default=4, help="digital patients, two slices each")
    asked = parser.parse_args()
    models = scans.ready(asked.model)
    lesions: list[Row] = []
    liver: list[Row] = []
    with ExitStack() as stack:
        found = scans.below(stack, asked.normal, low=False)
        slices = [cases.real(found, dict.fromkeys(cases.LEAST_CM2, asked.slices)), cases.digital(asked.digital)]
        for number, case in enumerate(case for some in slices for case in some):
            print(case.group, case.name, file=sys.stderr, flush=True)
            rows, blob_rows = measured(case, models, number)
            lesions, liver = lesions + rows, liver + blob_rows
    settings = {"models": {model.name: model.sha256 for model in models}, "dose": cases.QUARTER}
    tables.save(asked.out, "lesions", settings, lesions)
    tables.save(asked.out, "blobs", settings, liver)
    trained = [model.name for model in models if model.sha256]
    found_out = (lesion_tables.summary(lesions), lesion_tables.blobs(liver), lesion_tables.by_kind(lesions, trained))
    print("\n".join(line for part in found_out for line in part))


if __name__ == "__main__":
    main()
