"""Score LEDA's autoencoder on the full-dose images of the validation slices.

    python -m experiments.furnace.score_teacher SET AUTOENCODER [--realisations 4]

Prints one line of JSON (``lowdose.evaluation.teacher``), over one slice of each patient for the figures of noise and
over all slices for the rest. --realisations: of the noise, 32 for a figure to be published.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from experiments.furnace.validation_set import load_images, load_set
from lowdose.evaluation.noise_sensitivity import even_soft_tissue
from lowdose.evaluation.teacher import assess_teacher
from lowdose.image import HU
from lowdose.language import autoencoder_file
from lowdose.models.load import load_by_name, remove_noise
from lowdose.networks import anatomy
from lowdose.weights.identity import DEFAULT_MODEL

FEW = 4
"""Realisations of the noise for a validation; B and D come from latents by the thousand."""


def main() -> None:
    """Score one autoencoder and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("autoencoder")
    parser.add_argument("--realisations", type=int, default=FEW)
    arguments = parser.parse_args()
    print(json.dumps(score_teacher(arguments.set, arguments.autoencoder, arguments.realisations)))


def score_teacher(folder: Path, name: str, realisations: int = FEW) -> dict[str, float]:
    """Return the figures of one autoencoder, flat."""
    denoise = partial(remove_noise, load_by_name(DEFAULT_MODEL, torch.device("cpu")))
    guided = autoencoder_file.load_autoencoder(name)
    report = assess_teacher(guided, _slices(folder, denoise), denoise, anatomy.load_anatomy(), realisations)
    figures = report.to_dict()
    flat = {key: value for key, value in figures.items() if isinstance(value, float)}
    for level, (seen, made) in zip(("low", "middle", "high"), report.high_pass_sd, strict=True):
        flat |= {f"high_pass_in_{level}": seen, f"high_pass_out_{level}": made}
    for layer, words in enumerate(report.words, start=1):
        flat |= {f"right_{layer}": words.right, f"shuffled_{layer}": words.shuffled}
    flat |= {f"tokens_{layer}": float(count) for layer, count in enumerate(report.distinct_tokens, start=1)}
    return flat | {f"error_{name}": error for name, error in report.tissue_error.items()}


def _slices(folder: Path, denoise: Callable[[HU], HU]) -> Iterator[tuple[HU, tuple[float, float], bool]]:
    """Yield the full-dose images; noise is measured on the first slice of each patient that has soft tissue for it."""
    measured = set()
    for item in load_set(folder):
        full = load_images(folder, item)[1]
        pixel = (item.pixel_mm, item.pixel_mm)
        with_noise = item.patient not in measured and even_soft_tissue(denoise(full)) is not None
        measured |= {item.patient} if with_noise else set()
        yield full, pixel, with_noise


if __name__ == "__main__":
    main()
