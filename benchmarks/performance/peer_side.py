"""The peer's half of peer.py, run by its own Python: ldct-benchmark denoises a folder whenever it is told to.

    PEER/bin/python peer_side.py SERIES OUT WEIGHTS

Its network gets the weights in WEIGHTS (torch.save of a list: five convolutions, five transposed ones, each weight and
bias). Its function is called as its documentation says, with its RED-CNN in place of a download.
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
import torchmetrics  # noqa: F401  (before the stand-in, for it looks whether torchvision is whole)


class _Absent(types.ModuleType):
    """torchvision: imported by parts of the package that denoising does not use; no build of it fits this PyTorch."""

    def __getattr__(self, name: str) -> object:
        return MagicMock()


for part in ("torchvision", "torchvision.models", "torchvision.transforms"):
    sys.modules[part] = _Absent(part)

from ldctbench.hub import utils as hub  # noqa: E402
from ldctbench.methods.redcnn.network import Model  # noqa: E402


def network(weights: Path) -> torch.nn.Module:
    model = Model(None).eval()
    values = iter(torch.load(weights, weights_only=True))
    for kind in ("conv", "tconv"):
        for place in range(1, 6):
            layer = getattr(model, f"{kind}{place}")
            layer.weight.data, layer.bias.data = next(values), next(values)
    return model


def main() -> None:
    series, out, weights = (Path(name) for name in sys.argv[1:])
    model = network(weights)
    hub.load_model = lambda method, device: model
    print(hub.denoise_numpy(np.full((64, 64), 1074.0, np.float32), torch.nn.Identity()).mean() - 1074, flush=True)
    for _ in sys.stdin:
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        hub.denoise_dicom(str(series), str(out), "redcnn", torch.device("cpu"), disable_progress=True)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
