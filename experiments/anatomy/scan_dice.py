"""Measure the Dice of every organ that the anatomy network finds in labelled real slices.

    python -m experiments.anatomy.scan_dice LABELLED [--weights FILE] [--from 0] [--to 20] [--noise 40]

LABELLED: folder with a CT and its labels, as ``lowdose.data.labelled.scans`` reads it. --from, --to: range of slices by
number, lowest first. --noise: SD in HU of white noise that is added first. Dice is counted over all of these slices,
for the annotated classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from lowdose.batch import UNKNOWN
from lowdose.data.labelled.scans import labelled_slices
from lowdose.metrics.label_overlap import Overlap
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES


def main() -> None:
    """Segment the slices and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", dest="last", type=int)
    parser.add_argument("--noise", type=float, default=0.0, help="SD in HU of white noise that is added")
    arguments = parser.parse_args()
    network = anatomy.load_anatomy(arguments.weights)
    found, warnings = labelled_slices([arguments.labelled])
    for text in warnings:
        print("warning:", text)
    overlap = Overlap(UNKNOWN + 1)
    rng = np.random.default_rng(0)
    for item in found[arguments.first : arguments.last]:
        hu = item.hu + rng.normal(0, arguments.noise, item.hu.shape) if arguments.noise else item.hu
        predicted = segment_slice(network, hu.astype(np.float32), item.pixel_mm)
        predicted[~item.annotated[predicted]] = UNKNOWN
        overlap.add(predicted, item.classes)
    scores = overlap.dice()
    print("| organ | Dice | pixels |\n|---|---|---|")
    for organ in np.flatnonzero(found[0].annotated):
        print(f"| {CLASSES[organ]} | {scores[organ]:.3f} | {overlap.reference[organ]} |")
    print(f"mean {np.nanmean(scores[np.flatnonzero(found[0].annotated)]):.3f}")


if __name__ == "__main__":
    main()
