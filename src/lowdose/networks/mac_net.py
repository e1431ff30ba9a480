"""MAC-Net of ASCON: features of an image at two scales, for contrastive learning (Chen et al., MICCAI 2023)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.weights.artefact import artefact_name, fill_artefact
from lowdose.weights.files import read_weights

ARTEFACT = "mac_net"
"""Name of MAC-Net among the artefacts of a training."""

MULTIPLE = 16
"""Both sides of an image must be multiples of this, the factor by which the global map is smaller."""


class MACNet(nn.Module):
    """U-Net with two maps of features, and what projects these for contrast.

    (B, 1, H, W) -> global (B, 8 * width, H / 16, W / 16) and local (B, width, H, W). The deepest level feeds the global
    map alone, and the decoder, which begins a level above it, the local map alone.

    Parameters
    ----------
    width : int
        Channels of the first level. The paper uses 64, with which the U-Net has 7,822,016 parameters. The 13,721,857 of
        the authors' release count 5,899,841 of two layers that its maps do not pass through, which are left out here.

    References
    ----------
    Z. Chen, Q. Gao, Y. Zhang, H. Shan, ASCON: Anatomy-Aware Supervised Contrastive Learning Framework for Low-Dose CT
    Denoising, MICCAI 2023.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w = width
        widths = [1, w, 2 * w, 4 * w, 4 * w, 8 * w]
        self.down = nn.ModuleList([_pair(a, b, b) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([_pair(8 * w, 4 * w, 2 * w), _pair(4 * w, 2 * w, w), _pair(2 * w, w, w)])
        self.project_global = perceptron(8 * w, 16 * w, 4 * w)
        self.project_local = nn.Sequential(nn.Linear(w, 4 * w), nn.ReLU(), nn.Linear(4 * w, 4 * w))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the global and the local map. Raises ValueError for sides that are no multiples of 16."""
        if x.shape[-1] % MULTIPLE or x.shape[-2] % MULTIPLE:
            raise ValueError(f"MAC-Net needs sides that are multiples of {MULTIPLE}, got {tuple(x.shape)}")
        h, levels = x, list[Tensor]()
        for place, pair in enumerate(self.down):
            h = pair(h if place == 0 else functional.max_pool2d(h, 2))
            levels.append(h)
        deepest, local = levels.pop(), levels.pop()
        for pair in self.up:
            larger = functional.interpolate(local, scale_factor=2.0, mode="bilinear", align_corners=True)
            local = pair(torch.cat([levels.pop(), larger], dim=1))
        return deepest, local


def load_mac_net(run: Path) -> MACNet:
    """Load the MAC-Net that a training kept, in eval mode.

    run: the run folder, or the file in it. Raises InvalidSetting where there is none, and IncompatibleCheckpoint for a
    file that is damaged or holds something else.
    """
    path = run / f"{ARTEFACT}.safetensors" if run.is_dir() else run
    if not path.is_file():
        raise InvalidSetting(
            f"{run}: has no {ARTEFACT}.safetensors; name the folder of a training with 'ascon' or 'alden'"
        )
    file = read_weights(path)
    first = file.tensors.get("down.0.0.weight")
    if artefact_name(file) != ARTEFACT or first is None:
        raise IncompatibleCheckpoint(
            f"{path}: holds no MAC-Net; name {ARTEFACT}.safetensors of a training with 'ascon'"
        )
    network = MACNet(len(first))
    fill_artefact(network, ARTEFACT, file, path)
    return network.eval()


def predictor(width: int = 64) -> nn.Sequential:
    """Return what maps projections of the global map to those of the momentum network, (N, 4 * width) -> the same."""
    return perceptron(4 * width, 16 * width, 4 * width)


def perceptron(inside: int, middle: int, outside: int) -> nn.Sequential:
    """Return two dense layers with batch normalisation between them, (N, inside) -> (N, outside)."""
    return nn.Sequential(nn.Linear(inside, middle), nn.BatchNorm1d(middle), nn.ReLU(), nn.Linear(middle, outside))


def _pair(inside: int, middle: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in ((inside, middle), (middle, outside)):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)
