"""Denoise a folder with ldct-benchmark whenever a line arrives on standard input; started by ``ldct_benchmark``.

    ENVIRONMENT/bin/python ldct_benchmark_process.py SERIES OUT WEIGHTS

It runs in an environment of its own, without lowdose. WEIGHTS is a ``torch.save`` of a list: the weight and bias of
five convolutions and of five transposed ones. The library's function is called as its documentation says, with its
RED-CNN in place of a downloaded one.
"""

from __future__ import annotations

import shutil
import sys
import time
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
import torchmetrics  # noqa: F401  (before the stand-in, since it checks that torchvision is complete)


class _Absent(types.ModuleType):
    """Stand-in for torchvision, which denoising does not use and of which no build fits this PyTorch."""

    def __getattr__(self, name: str) -> object:
        return MagicMock()


for part in ("torchvision", "torchvision.models", "torchvision.transforms"):
    sys.modules[part] = _Absent(part)

from ldctbench.hub import utils as hub  # noqa: E402
from ldctbench.methods.redcnn.network import Model  # noqa: E402


def load_network(weights: Path) -> torch.nn.Module:
    """Return the library's RED-CNN with the weights of a file."""
    model = Model(None).eval()
    values = iter(torch.load(weights, weights_only=True))
    for kind in ("conv", "tconv"):
        for number in range(1, 6):
            layer = getattr(model, f"{kind}{number}")
            layer.weight.data, layer.bias.data = next(values), next(values)
    return model


def main() -> None:
    """Load the network, then denoise on demand."""
    series, out, weights = (Path(name) for name in sys.argv[1:])
    model = load_network(weights)
    hub.load_model = lambda method, device: model
    print(hub.denoise_numpy(np.full((64, 64), 1074.0, np.float32), torch.nn.Identity()).mean() - 1074, flush=True)
    for _ in sys.stdin:
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        hub.denoise_dicom(str(series), str(out), "redcnn", torch.device("cpu"), disable_progress=True)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
