"""Measure how much lesion contrast each model keeps, and whether it creates false lesions.

    python -m experiments.zoo.lesions NORMAL ... OUT [--model NAME ...] [--slices 6] [--digital 4]

NORMAL: folders of normal-dose series. Lesions of known size and contrast are put into slices of real patients that show
liver or lung (as the anatomy network draws them), and into digital patients before they are scanned. Quarter dose is
simulated with the same noise with and without lesions. Contrast kept: mean over the core of a lesion (0.6 radii) of
what it adds to the denoised image, over what it adds to the full-dose image. Contrast to noise: that contrast over the
robust SD of the organ 2 to 8 mm around it. The classical filters are measured, too; low dose itself keeps all by
definition.

False lesions: in the liver of the same slices without lesions, the response to a disc of 5 and of 10 mm less its ring
(a disc of c HU gives c). Largest response: over all places where disc and ring lie within the liver. Rise: the most by
which the response of any place exceeds that at quarter dose; a false lesion would show in it. Prints Markdown, writes
OUT/lesions.json (a row for each lesion and image) and OUT/blobs.json (a row for each slice and image).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from experiments.zoo import lesion_measures, lesion_slices, lesion_tables, scans, tables
from experiments.zoo.lesion_tables import FULL, LOW
from experiments.zoo.tables import Row
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.lesion_contrast import contrast_kept
from lowdose.models.load import LoadedModel
from lowdose.phantom.lesion_sites import without_vessels
from lowdose.phantom.slice_lesions import PlannedSliceLesion, place_lesions

DISCS_MM = (5.0, 10.0)


def denoise(model: LoadedModel, item: lesion_slices.LesionSlice, hu: HU) -> HU:
    """Denoise (y, x) HU at full strength."""
    return denoise_slice(model, Slice(hu, np.ones(hu.shape, bool), None, item.sides_mm), 1.0)


def measure_slice(
    item: lesion_slices.LesionSlice, models: Sequence[LoadedModel], seed: int
) -> tuple[list[Row], list[Row]]:
    """Return the rows of all lesions and images, and those of all discs and images, of one slice."""
    room = {name: without_vessels(item.truth, mask, name, item.pixel_mm) for name, mask in item.organs.items()}
    planned = place_lesions(room, lesion_measures.KINDS, item.pixel_mm, np.random.default_rng((seed, 7)))
    added = item.add(planned)
    without = {FULL: item.full, LOW: item.low} | {model.name: denoise(model, item, item.low) for model in models}
    change = {model.name: denoise(model, item, item.low + added) - without[model.name] for model in models}
    change = {FULL: added, LOW: added} | change
    facts = {"group": item.group, "slice": item.name, "patient": item.patient}
    lesions = [
        facts | {"image": name} | lesion_row(spot, change[name], added, image, item)
        for spot in planned
        for name, image in without.items()
    ]
    return lesions, [facts | row for row in blob_rows(item, without)]


def lesion_row(spot: PlannedSliceLesion, change: HU, added: HU, image: HU, item: lesion_slices.LesionSlice) -> Row:
    """Return the contrast kept and the contrast-to-noise ratio of one lesion in one image."""
    where = lesion_measures.core(spot, added.shape, item.pixel_mm)
    contrast = float(change[where].mean(dtype=np.float64))
    noise = lesion_measures.noise_around(image, spot, item.organs[spot.kind.organ], item.pixel_mm)
    kind = spot.kind
    return {
        "organ": kind.organ,
        "diameter_mm": kind.diameter_mm,
        "contrast": lesion_measures.contrast_text(kind),
        "added_hu": float(added[where].mean(dtype=np.float64)),
        "kept": contrast_kept(change, added, where),
        "cnr": abs(contrast) / noise,
        "at": (spot.y, spot.x),
    }


def blob_rows(item: lesion_slices.LesionSlice, images: dict[str, HU]) -> Iterator[Row]:
    """Yield the disc responses in the liver, HU, for each image.

    "error" is the response to the image less the truth, which for real slices is full dose.
    """
    for diameter in DISCS_MM if "liver" in item.organs else ():
        where = lesion_measures.search_area(item.organs["liver"], diameter, item.pixel_mm)
        if where.sum() * item.pixel_mm**2 < 10 * diameter**2:
            continue
        found = {name: lesion_measures.disc_response(hu, diameter, item.pixel_mm)[where] for name, hu in images.items()}
        truth = lesion_measures.disc_response(item.truth, diameter, item.pixel_mm)[where]
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
    """Measure all slices and models, write the rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("normal", type=Path, nargs="+", help="folders of normal-dose series")
    parser.add_argument("out", type=Path)
    scans.add_model_option(parser)
    parser.add_argument("--slices", type=int, default=6, help="real slices for each organ")
    parser.add_argument("--digital", type=int, default=4, help="digital patients, two slices each")
    arguments = parser.parse_args()
    models = scans.load_models(arguments.model)
    lesions: list[Row] = []
    blobs: list[Row] = []
    with ExitStack() as stack:
        found = scans.find_series(stack, arguments.normal, low=False)
        slices = [
            lesion_slices.real_slices(found, dict.fromkeys(lesion_slices.MIN_ORGAN_CM2, arguments.slices)),
            lesion_slices.digital_slices(arguments.digital),
        ]
        for number, item in enumerate(item for items in slices for item in items):
            print(item.group, item.name, file=sys.stderr, flush=True)
            lesion_rows, false_rows = measure_slice(item, models, number)
            lesions, blobs = lesions + lesion_rows, blobs + false_rows
    settings = {"models": {model.name: model.sha256 for model in models}, "dose": lesion_slices.QUARTER}
    tables.save(arguments.out, "lesions", settings, lesions)
    tables.save(arguments.out, "blobs", settings, blobs)
    trained = [model.name for model in models if model.sha256]
    parts = (
        lesion_tables.contrast_summary(lesions),
        lesion_tables.false_blobs(blobs),
        lesion_tables.contrast_by_kind(lesions, trained),
    )
    print("\n".join(line for part in parts for line in part))


if __name__ == "__main__":
    main()
