"""Measure what an autoencoder keeps of a slice: Frechet distance, PSNR on [-1000, 2000] HU, and the words it uses.

    python -m experiments.leda.autoencoder_fidelity AUTOENCODER --data NORMAL [--features anatomy] [--out FILE.json]

The Frechet distance is between features of the slices and of their reconstructions: the deepest map of the named
network, averaged over each square tile of a slice (128 pixels), since whole slices alone are too few for a covariance
of full rank. The default network is the shipped "anatomy", trained on CT. It is NOT Inception: the numbers order
autoencoders measured here, on the same slices, and cannot be compared with the paper's FID, whose computation the paper
does not state.

Intervals: of PSNR as everywhere (metrics/statistics.py); of the distance, 95 % of 200 resamples of patients, or of
slices where there are fewer than five patients, drawing the same units for both sets of features. The last --held-out
patients by number are those that the recipe holds out; they are listed apart. --digital adds slices of digital patients
to the count of words in use, and to nothing else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from experiments.leda.reconstruction_tables import reconstruction_tables
from experiments.leda.token_counts import TokenCounts
from lowdose.data.labelled.phantoms import SLICES, PhantomDataset
from lowdose.data.normal_dose import NormalDoseSlice, normal_dose_slices
from lowdose.hounsfield import OBJECTIVE
from lowdose.language import autoencoder_file
from lowdose.metrics.feature_distance import frechet_distance
from lowdose.metrics.statistics import FEWEST_PATIENTS, summarise
from lowdose.networks.autoencoder import Autoencoder, reconstruct
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_features
from lowdose.training.leda_autoencoder.init import split_patients

RESAMPLES = 200


class SliceFidelity(NamedTuple):
    """Measurements of one slice.

    Attributes
    ----------
    patient : int
        Number of the patient.
    psnr : float
        PSNR of the reconstruction, dB.
    real, made : array
        Features (tiles, channels) of the slice and of its reconstruction.
    """

    patient: int
    psnr: float
    real: NDArray[np.float64]
    made: NDArray[np.float64]


def to_unit_range(hu: NDArray[np.float32], device: str) -> Tensor:
    """Map (y, x) HU to (1, 1, y, x) in the range of the objectives; air where the scanner saw nothing."""
    found = torch.from_numpy(np.nan_to_num(hu, nan=-1000.0)).float()[None, None].to(device)
    return OBJECTIVE.encode(found.clamp(OBJECTIVE.low, OBJECTIVE.high))


def tile_features(features: FrozenFeatures, image: Tensor, tile: int) -> NDArray[np.float64]:
    """Return (tiles, channels): the deepest map averaged over each tile, fed alone; ``tile`` 0 is the whole image."""
    parts = image
    if tile:
        whole = functional.unfold(image, tile, stride=tile)
        parts = whole.transpose(1, 2).reshape(-1, 1, tile, tile)
    deepest = list(features(parts).values())[-1]
    return deepest.float().mean((2, 3)).double().cpu().numpy()


def frechet(slices: Sequence[SliceFidelity]) -> dict[str, Any]:
    """Return the Frechet distance over all tiles, and its interval."""
    by_patient = len({item.patient for item in slices}) >= FEWEST_PATIENTS
    units: dict[int, list[SliceFidelity]] = {}
    for number, item in enumerate(slices):
        units.setdefault(item.patient if by_patient else number, []).append(item)
    blocks = [
        tuple(np.concatenate([getattr(item, n) for item in each]) for n in ("real", "made")) for each in units.values()
    ]

    def distance(chosen: Sequence[int]) -> float:
        return frechet_distance(*(np.concatenate([blocks[i][side] for i in chosen]) for side in (0, 1)))

    rng = np.random.default_rng(0)
    drawn = [distance(rng.integers(len(blocks), size=len(blocks)).tolist()) for _ in range(RESAMPLES)]
    rows, channels = sum(len(item.real) for item in slices), slices[0].real.shape[1]
    return {
        "value": distance(range(len(blocks))),
        "interval": [float(end) for end in np.quantile(drawn, [0.025, 0.975])] if len(blocks) > 1 else None,
        "interval_of": "patients" if by_patient else "slices",
        "n": rows,
        "channels": channels,
        "full_rank": rows > channels,
    }


def summarise_slices(slices: Sequence[SliceFidelity]) -> dict[str, Any]:
    """Return PSNR and Frechet distance of some slices."""
    found = summarise([item.psnr for item in slices], [item.patient for item in slices], seed=0)
    return {"psnr": asdict(found), "frechet": frechet(slices), "lowest_psnr": min(item.psnr for item in slices)}


@torch.no_grad()
def measure_slices(
    items: Sequence[NormalDoseSlice],
    autoencoder: Autoencoder,
    features: FrozenFeatures,
    words: TokenCounts,
    arguments: argparse.Namespace,
) -> Iterator[SliceFidelity]:
    """Yield the measurements of each slice, and count its words."""
    for item in items:
        hu = item.read()
        image = to_unit_range(hu[: arguments.crop, : arguments.crop] if arguments.crop else hu, arguments.device)
        made, tokens = reconstruct(autoencoder, image)
        words.add(tokens)
        psnr = float(-10.0 * torch.log10((made - image).square().mean()))
        yield SliceFidelity(
            item.patient,
            psnr,
            tile_features(features, image, arguments.tile),
            tile_features(features, made, arguments.tile),
        )


@torch.no_grad()
def count_digital_words(autoencoder: Autoencoder, words: TokenCounts, arguments: argparse.Namespace) -> None:
    """Count the words of slices of digital patients."""
    patients = PhantomDataset(arguments.digital, max(1, -(-arguments.digital_slices // SLICES)))
    patients.build(lambda done, total: None)
    for index in range(min(arguments.digital_slices, len(patients))):
        image = to_unit_range(np.asarray(patients[index][0], np.float32), arguments.device)
        words.add(reconstruct(autoencoder, image)[1])


def measure(source: str, arguments: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return all figures of one autoencoder."""
    found = autoencoder_file.load_autoencoder(source, arguments.device)
    name, _, weights = arguments.features.partition(":")
    features = load_features(name, weights or None).to(arguments.device)
    words = TokenCounts(found.autoencoder)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, arguments.data)
        for text in warnings:
            say(f"warning: {text}")
        _, check = split_patients(items, arguments.held_out)
        held = {item.key for item in check}
        chosen = [
            items[int(i)]
            for i in np.linspace(0, len(items) - 1, min(arguments.slices or len(items), len(items))).round()
        ]
        slices = list(measure_slices(chosen, found.autoencoder, features, words, arguments))
        parts = {"all": slices}
        for label, inside in (("held out", True), ("trained on", False)):
            parts[label] = [
                measured for measured, item in zip(slices, chosen, strict=True) if (item.key in held) == inside
            ]
    if arguments.digital:
        count_digital_words(found.autoencoder, words, arguments)
    whole = None if found.vocabulary is None else np.array([word is not None for word in found.vocabulary.words])
    return {
        "autoencoder": found.sha256,
        "step": found.training.get("step"),
        "features": features.name,
        "tile": arguments.tile,
        **{label: summarise_slices(part) for label, part in parts.items() if len(part) > 1},
        "words": words.facts(whole),
    }


def main() -> None:
    """Measure all autoencoders, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("autoencoders", nargs="+", help="files, or shipped names")
    parser.add_argument("--data", type=Path, action="append", required=True, help="scans of normal dose, or packs")
    parser.add_argument("--features", default="anatomy", metavar="NAME[:WEIGHTS]")
    parser.add_argument("--tile", type=int, default=128, help="pixels a side; 0 = whole slices")
    parser.add_argument("--slices", type=int, default=0, help="number of slices, evenly spread; 0 = all")
    parser.add_argument("--crop", type=int, default=0, help="only the first pixels of each side, for a quick try")
    parser.add_argument("--held-out", type=int, default=1, help="number of patients held out, the last ones")
    parser.add_argument("--digital", type=Path, help="folder of digital patients")
    parser.add_argument("--digital-slices", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file for the figures of a single autoencoder")
    arguments = parser.parse_args()
    if arguments.out and len(arguments.autoencoders) > 1:
        parser.error("--out: is for one autoencoder")
    found = {
        source: measure(source, arguments, lambda text: print(text, flush=True)) for source in arguments.autoencoders
    }
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found[arguments.autoencoders[0]], indent=2))
    print(reconstruction_tables(found))


if __name__ == "__main__":
    main()
