"""Makes a trained model one of those that the package ships: float16 where that changes next to nothing, else float32.

python benchmarks/ship.py RUN NAME       # a denoiser's run folder, the anatomy network's, or an autoencoder's
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
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

ZOO = Path(__file__).resolve().parents[1] / "src/lowdose/zoo"
MOST = {"denoiser": 0.5, "anatomy": 0.001, "autoencoder": 0.01}
"""What float16 may change at most: HU of a pixel, the class of a share of pixels, the word of a share of positions."""


def main() -> None:
    run, name = Path(sys.argv[1]), sys.argv[2]
    source = run / MODEL_FILE
    kind = model_info.KINDS[files.read_weights(source).header["format"]]
    save, change = {"denoiser": _denoiser, "anatomy": _anatomy, "autoencoder": _autoencoder}[kind](source)
    target = ZOO / f"{name}.safetensors"
    for dtype in (torch.float16, torch.float32):
        save(target, dtype)
        changed = change(target)
        print(f"{name}: {dtype}, {target.stat().st_size / 1e6:.2f} MB, changes {changed:.4g}")
        if changed <= MOST[kind]:
            break
    index = json.loads((ZOO / "index.json").read_text())
    index[name] = {"kind": kind, "sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    (ZOO / "index.json").write_text(json.dumps(dict(sorted(index.items())), indent=2) + "\n")


def _body() -> np.ndarray:
    hu = digital_patient(1, slices=4, spacing_mm=30.0, thickness_mm=3.0).volume.hu
    return hu + np.random.default_rng(0).normal(0, 20.0, hu.shape).astype(np.float32)


Save, Change = Callable[[Path, torch.dtype], object], Callable[[Path], float]


def _denoiser(source: Path) -> tuple[Save, Change]:
    model, hu = checkpoint.load_denoiser(str(source)), torch.from_numpy(_body())[:, None]
    whole = model.denoiser.denoise(hu)
    return (
        lambda path, dtype: checkpoint.save_denoiser(path, model.denoiser, model.domain, model.training, dtype),
        lambda path: float((checkpoint.load_denoiser(str(path)).denoiser.denoise(hu) - whole).abs().max()),
    )


def _anatomy(source: Path) -> tuple[Save, Change]:
    network, body = anatomy.load_anatomy(source), _body()
    training = json.loads(files.read_weights(source).header["training"])

    def named(with_network: anatomy.Anatomy) -> np.ndarray:
        return np.stack([segment_slice(with_network, hu, (0.74, 0.74)) for hu in body])

    whole = named(network)
    return (
        lambda path, dtype: path.write_bytes(anatomy.serialise_anatomy(network, training, dtype)),
        lambda path: float((named(anatomy.load_anatomy(path)) != whole).mean()),
    )


def _autoencoder(source: Path) -> tuple[Save, Change]:
    whole, hu = autoencoder_file.load_autoencoder(source), torch.from_numpy(_body())[:, None]
    image = OBJECTIVE.encode(hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
    length = float(json.loads(files.read_weights(source).header["autoencoder"])["word_length"])

    def read(by: autoencoder_file.LanguageGuidedAutoencoder) -> torch.Tensor:
        return torch.cat([layer.flatten() for layer in by.autoencoder.quantise(by.autoencoder.encode(image)).indices])

    words = read(whole)
    return (
        lambda path, dtype: path.write_bytes(
            autoencoder_file.serialise_autoencoder(whole.autoencoder, whole.vocabulary, length, whole.training, dtype)
        ),
        lambda path: float((read(autoencoder_file.load_autoencoder(path)) != words).float().mean()),
    )


if __name__ == "__main__":
    main()
