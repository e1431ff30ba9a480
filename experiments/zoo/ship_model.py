"""Copy a trained model into the package: as float16 where that changes almost nothing, else as float32.

    python -m experiments.zoo.ship_model RUN NAME [--local-means-px 0]

RUN: run folder of a denoiser, of the anatomy network or of an autoencoder. Writes src/lowdose/zoo/NAME.safetensors and
enters it in src/lowdose/zoo/index.json. --local-means-px states the width of the local means that a denoiser keeps,
0 for none, in place of what its run says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lowdose.hounsfield import OBJECTIVE
from lowdose.language import autoencoder_file
from lowdose.models import checkpoint, model_info
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.phantom.patient import digital_patient
from lowdose.training.runner import MODEL_FILE
from lowdose.weights import files

ZOO = Path(__file__).resolve().parents[2] / "src/lowdose/zoo"
MAX_CHANGE = {"denoiser": 0.5, "anatomy": 0.001, "autoencoder": 0.01}
"""Largest change that float16 may make: HU of a pixel, share of pixels of other class, of positions with other word."""


def main() -> None:
    """Write the model and the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--local-means-px", type=float, help="for a denoiser")
    arguments = parser.parse_args()
    ship_weights(arguments.run / MODEL_FILE, arguments.name)


def ship_weights(source: Path, name: str) -> None:
    """Write the weights of ``source`` into the package under ``name``, and the index."""
    kind = model_info.KINDS[files.read_weights(source).header["format"]]
    if kind != "denoiser" and arguments.local_means_px is not None:
        parser.error(f"--local-means-px {arguments.local_means_px:g}: {source} is of kind '{kind}'; leave it out")
    denoiser = partial(_denoiser, local_means_px=arguments.local_means_px)
    save, change = {"denoiser": denoiser, "anatomy": _anatomy, "autoencoder": _autoencoder}[kind](source)
    target = ZOO / f"{name}.safetensors"
    for dtype in (torch.float16, torch.float32):
        save(target, dtype)
        difference = change(target)
        print(f"{name}: {dtype}, {target.stat().st_size / 1e6:.2f} MB, changes {difference:.4g}")
        if difference <= MAX_CHANGE[kind]:
            break
    index = json.loads((ZOO / "index.json").read_text())
    index[name] = {"kind": kind, "sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    (ZOO / "index.json").write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n")


def _noisy_body() -> np.ndarray:
    """Return slices of a digital patient with noise, on which the change is measured."""
    hu = digital_patient(1, slices=4, spacing_mm=30.0, thickness_mm=3.0).volume.hu
    return hu + np.random.default_rng(0).normal(0, 20.0, hu.shape).astype(np.float32)


Save, Change = Callable[[Path, torch.dtype], object], Callable[[Path], float]


def _denoiser(source: Path, local_means_px: float | None) -> tuple[Save, Change]:
    """Return how to save a denoiser, and how to measure the change: the largest difference of a pixel, HU."""
    model, hu = checkpoint.load_denoiser(str(source)), torch.from_numpy(_noisy_body())[:, None]
    if local_means_px is not None:
        model.denoiser.stated_means_px = local_means_px
    reference = model.denoiser.denoise(hu)
    return (
        lambda path, dtype: checkpoint.save_denoiser(path, model.denoiser, model.domain, model.training, dtype),
        lambda path: float((checkpoint.load_denoiser(str(path)).denoiser.denoise(hu) - reference).abs().max()),
    )


def _anatomy(source: Path) -> tuple[Save, Change]:
    """Return how to save an anatomy network, and the share of pixels that change class."""
    network, body = anatomy.load_anatomy(source), _noisy_body()
    training = json.loads(files.read_weights(source).header["training"])

    def segment(by: anatomy.Anatomy) -> np.ndarray:
        return np.stack([segment_slice(by, hu, (0.74, 0.74)) for hu in body])

    reference = segment(network)
    return (
        lambda path, dtype: path.write_bytes(anatomy.serialise_anatomy(network, training, dtype)),
        lambda path: float((segment(anatomy.load_anatomy(path)) != reference).mean()),
    )


def _autoencoder(source: Path) -> tuple[Save, Change]:
    """Return how to save an autoencoder, and the share of positions that change token."""
    reference, hu = autoencoder_file.load_autoencoder(source), torch.from_numpy(_noisy_body())[:, None]
    image = OBJECTIVE.encode(hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
    length = float(json.loads(files.read_weights(source).header["autoencoder"])["word_length"])

    def tokens(by: autoencoder_file.LanguageGuidedAutoencoder) -> torch.Tensor:
        return torch.cat([layer.flatten() for layer in by.autoencoder.quantise(by.autoencoder.encode(image)).indices])

    expected = tokens(reference)
    return (
        lambda path, dtype: path.write_bytes(
            autoencoder_file.serialise_autoencoder(
                reference.autoencoder, reference.vocabulary, length, reference.training, dtype
            )
        ),
        lambda path: float((tokens(autoencoder_file.load_autoencoder(path)) != expected).float().mean()),
    )


if __name__ == "__main__":
    main()
