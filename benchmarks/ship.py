"""Makes a trained model one of those that the package ships: float16 where that changes next to nothing, else float32.

python benchmarks/ship.py RUN NAME       # a denoiser's run folder, or the anatomy network's
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lowdose import checkpoint, weights
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment
from lowdose.physics.phantom.patient import digital_patient
from lowdose.train.conduct import MODEL

ZOO = Path(__file__).resolve().parents[1] / "src/lowdose/zoo"
MOST = {"denoiser": 0.5, "anatomy": 0.001}
"""What float16 may change at most: HU of a pixel; share of pixels with another class."""


def main() -> None:
    run, name = Path(sys.argv[1]), sys.argv[2]
    source = run / MODEL
    kind = "anatomy" if weights.read(source).header["format"] == anatomy.FORMAT else "denoiser"
    save, change = {"denoiser": _denoiser, "anatomy": _anatomy}[kind](source)
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
    model, hu = checkpoint.load(str(source)), torch.from_numpy(_body())[:, None]
    whole = model.denoiser.denoise(hu)
    return (
        lambda path, dtype: checkpoint.save(path, model.denoiser, model.domain, model.training, dtype),
        lambda path: float((checkpoint.load(str(path)).denoiser.denoise(hu) - whole).abs().max()),
    )


def _anatomy(source: Path) -> tuple[Save, Change]:
    network, body = anatomy.load(source), _body()
    training = json.loads(weights.read(source).header["training"])

    def named(with_network: anatomy.Anatomy) -> np.ndarray:
        return np.stack([segment(with_network, hu, (0.74, 0.74)) for hu in body])

    whole = named(network)
    return (
        lambda path, dtype: path.write_bytes(anatomy.packed(network, training, dtype)),
        lambda path: float((named(anatomy.load(path)) != whole).mean()),
    )


if __name__ == "__main__":
    main()
