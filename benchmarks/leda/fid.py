"""What an autoencoder keeps of a slice: Frechet distance, PSNR on [-1000, 2000] HU, and which words it takes for that.

    python benchmarks/leda/fid.py AUTOENCODER --data NORMAL [--features anatomy] [--out reconstruction.json]

The Frechet distance is between features of the slices and of their reconstructions: of the deepest map of the network
that is named, averaged over each square tile of a slice (128 pixels), since whole slices alone are too few for a
covariance of full rank. The default network is the shipped 'anatomy', trained on CT. It is NOT Inception: the numbers
order autoencoders measured here, on the same slices, and cannot be set beside the paper's FID, whose making the paper
does not state.

Intervals: PSNR as everywhere (metrics/statistics.py); of the distance, 95 % of 200 resamples of patients, or of slices
where there are fewer than five patients. The same units are drawn for both clouds. The last --held-out patients by
number are those that the recipe holds out; they are told apart. --digital adds slices of digital patients to the count
of words in use, and to nothing else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cells
import numpy as np
import torch
from numpy.typing import NDArray
from token_counts import TokenCounts
from torch import Tensor
from torch.nn import functional

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


class Look(NamedTuple):
    """Of one slice: its patient, PSNR in dB, and features (tiles, C) of it and of its reconstruction."""

    patient: int
    psnr: float
    real: NDArray[np.float64]
    made: NDArray[np.float64]


def unit(hu: NDArray[np.float32], device: str) -> Tensor:
    """(y, x) HU -> (1, 1, y, x) in the unit of objectives; air where the scanner saw nothing."""
    found = torch.from_numpy(np.nan_to_num(hu, nan=-1000.0)).float()[None, None].to(device)
    return OBJECTIVE.encode(found.clamp(OBJECTIVE.low, OBJECTIVE.high))


def pooled(features: FrozenFeatures, image: Tensor, tile: int) -> NDArray[np.float64]:
    """(tiles, C): the deepest map averaged over each tile, which the network sees by itself; 0 = the whole image."""
    parts = image
    if tile:
        whole = functional.unfold(image, tile, stride=tile)
        parts = whole.transpose(1, 2).reshape(-1, 1, tile, tile)
    deepest = list(features(parts).values())[-1]
    return deepest.float().mean((2, 3)).double().cpu().numpy()


def distance(looks: Sequence[Look]) -> dict[str, Any]:
    """Frechet distance over all tiles, and its interval."""
    by_patient = len({look.patient for look in looks}) >= FEWEST_PATIENTS
    units: dict[int, list[Look]] = {}
    for number, look in enumerate(looks):
        units.setdefault(look.patient if by_patient else number, []).append(look)
    blocks = [
        tuple(np.concatenate([getattr(look, n) for look in each]) for n in ("real", "made")) for each in units.values()
    ]

    def of(chosen: Sequence[int]) -> float:
        return frechet_distance(*(np.concatenate([blocks[i][side] for i in chosen]) for side in (0, 1)))

    rng = np.random.default_rng(0)
    drawn = [of(rng.integers(len(blocks), size=len(blocks)).tolist()) for _ in range(RESAMPLES)]
    rows, channels = sum(len(look.real) for look in looks), looks[0].real.shape[1]
    return {
        "value": of(range(len(blocks))),
        "interval": [float(end) for end in np.quantile(drawn, [0.025, 0.975])] if len(blocks) > 1 else None,
        "interval_of": "patients" if by_patient else "slices",
        "n": rows,
        "channels": channels,
        "full_rank": rows > channels,
    }


def measured(looks: Sequence[Look]) -> dict[str, Any]:
    found = summarise([look.psnr for look in looks], [look.patient for look in looks], seed=0)
    return {"psnr": asdict(found), "frechet": distance(looks), "lowest_psnr": min(look.psnr for look in looks)}


@torch.no_grad()
def looked(
    items: Sequence[NormalDoseSlice],
    autoencoder: Autoencoder,
    features: FrozenFeatures,
    words: TokenCounts,
    given: argparse.Namespace,
) -> Iterator[Look]:
    for item in items:
        hu = item.read()
        image = unit(hu[: given.crop, : given.crop] if given.crop else hu, given.device)
        made, tokens = reconstruct(autoencoder, image)
        words.add(tokens)
        psnr = float(-10.0 * torch.log10((made - image).square().mean()))
        yield Look(item.patient, psnr, pooled(features, image, given.tile), pooled(features, made, given.tile))


@torch.no_grad()
def add_digital(autoencoder: Autoencoder, words: TokenCounts, given: argparse.Namespace) -> None:
    patients = PhantomDataset(given.digital, max(1, -(-given.digital_slices // SLICES)))
    patients.build(lambda done, total: None)
    for index in range(min(given.digital_slices, len(patients))):
        image = unit(np.asarray(patients[index][0], np.float32), given.device)
        words.add(reconstruct(autoencoder, image)[1])


def measure(source: str, given: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything about one autoencoder."""
    found = autoencoder_file.load_autoencoder(source, given.device)
    name, _, weights = given.features.partition(":")
    features = load_features(name, weights or None).to(given.device)
    words = TokenCounts(found.autoencoder)
    with ExitStack() as stack:
        items, warnings = normal_dose_slices(stack, given.data)
        for text in warnings:
            say(f"warning: {text}")
        _, check = split_patients(items, given.held_out)
        held = {item.key for item in check}
        chosen = [
            items[int(i)] for i in np.linspace(0, len(items) - 1, min(given.slices or len(items), len(items))).round()
        ]
        looks = list(looked(chosen, found.autoencoder, features, words, given))
        parts = {"all": looks}
        for label, inside in (("held out", True), ("trained on", False)):
            parts[label] = [look for look, item in zip(looks, chosen, strict=True) if (item.key in held) == inside]
    if given.digital:
        add_digital(found.autoencoder, words, given)
    whole = None if found.vocabulary is None else np.array([word is not None for word in found.vocabulary.words])
    return {
        "autoencoder": found.sha256,
        "step": found.training.get("step"),
        "features": features.name,
        "tile": given.tile,
        **{label: measured(part) for label, part in parts.items() if len(part) > 1},
        "words": words.facts(whole),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("autoencoders", nargs="+", help="files, or shipped names")
    parser.add_argument("--data", type=Path, action="append", required=True, help="scans of normal dose, or packs")
    parser.add_argument("--features", default="anatomy", metavar="NAME[:WEIGHTS]")
    parser.add_argument("--tile", type=int, default=128, help="pixels a side; 0 = whole slices")
    parser.add_argument("--slices", type=int, default=0, help="evenly spread; 0 = all")
    parser.add_argument("--crop", type=int, default=0, help="only the first pixels of each side, for a quick try")
    parser.add_argument("--held-out", type=int, default=1, help="patients, the last by number")
    parser.add_argument("--digital", type=Path, help="folder of digital patients")
    parser.add_argument("--digital-slices", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="the figures as JSON, of a single autoencoder")
    given = parser.parse_args()
    if given.out and len(given.autoencoders) > 1:
        parser.error("--out: is for one autoencoder")
    found = {source: measure(source, given, lambda text: print(text, flush=True)) for source in given.autoencoders}
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found[given.autoencoders[0]], indent=2))
    print(cells.reconstructions(found))


if __name__ == "__main__":
    main()
