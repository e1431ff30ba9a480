"""The anatomy network: which organ every pixel of a slice belongs to, and what it saw on the way.

A U-Net that works at half resolution after one fine layer, with residual blocks and additive skips: our own, small
enough to ship. Trained by the recipe ``anatomy``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.denoiser import channels_last
from lowdose.organ_classes import CLASSES
from lowdose.weights import files

FORMAT = "lowdose-anatomy-1"
MULTIPLE = 32
WIDTHS = (16, 32, 64, 128, 160, 192)


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class _Up(nn.Module):
    """Coarse features doubled in size, plus the finer ones of the way down."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.lateral = nn.Conv2d(fine, fine, 1)
        self.join = _conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        grown = functional.interpolate(self.narrow(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        joined: Tensor = self.join(grown + self.lateral(fine))
        return joined


class Anatomy(nn.Module):
    """(B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE`` -> logits (B, len(CLASSES), H/2, W/2); H, W multiples of 32.

    The input is shown twice, whole and through a soft-tissue window, since bone and lung would else drown the few HU
    between organs.
    """

    multiple = MULTIPLE
    smallest = 2 * MULTIPLE

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(2, WIDTHS[0])
        blocks = (1, 1, 2, 2, 1)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, stride=2), *(_Residual(b) for _ in range(count)))
            for a, b, count in zip(WIDTHS, WIDTHS[1:], blocks, strict=False)
        )
        self.up = nn.ModuleList(_Up(a, b) for a, b in zip(WIDTHS[:1:-1], WIDTHS[-2:0:-1], strict=True))
        self.head = nn.Conv2d(WIDTHS[1], len(CLASSES), 1)

    def forward(self, image: Tensor) -> Tensor:
        levels = list(self.features(image).values())
        h = levels.pop()
        for up in self.up:
            h = up(h, levels.pop())
        logits: Tensor = self.head(h)
        return logits

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 1, H, W) -> maps by name, 'full' (B, 16, H, W), 'half', ... to '1/32' (B, 192, H/32, W/32)."""
        if image.shape[-1] % MULTIPLE or image.shape[-2] % MULTIPLE:
            raise ValueError(f"the anatomy network needs sides that are multiples of {MULTIPLE}, got {image.shape}")
        h = self.stem(_shown(image))
        maps = {"full": h}
        for level, down in enumerate(self.down, start=1):
            h = down(h)
            maps[f"1/{2**level}"] = h
        return maps


def _shown(image: Tensor) -> Tensor:
    hu = OBJECTIVE.decode(image)
    return torch.cat([(hu / 1000).clamp(-1.1, 2.0), ((hu - 40) / 200).clamp(-1.0, 1.0)], dim=1)


def serialise_anatomy(network: Anatomy, training: Mapping[str, object], dtype: torch.dtype = torch.float32) -> bytes:
    """A weights file that ``load`` reads: weights, classes, and how they were trained."""
    header = {"format": FORMAT, "classes": json.dumps(CLASSES), "training": json.dumps(training)}
    return files.serialise_weights(network, header, dtype)


def load_anatomy(path: Path | None = None) -> Anatomy:
    """The network of ``read``."""
    return read_anatomy(path)[0]


def read_anatomy(path: Path | None = None) -> tuple[Anatomy, str]:
    """The shipped anatomy network, or one in a file that the recipe ``anatomy`` wrote, and the SHA-256 of its file.

    Eval mode, no gradients. Raises IncompatibleCheckpoint when the file is damaged, of another kind, or has other
    classes.
    """
    found = files.read_shipped("anatomy") if path is None else files.read_weights(path)
    named = str(path or "anatomy")
    if found.header.get("format") != FORMAT:
        raise IncompatibleCheckpoint(
            f"{named}: its format is '{found.header.get('format', 'not stated')}', an anatomy network has '{FORMAT}'; "
            "'lowdose train anatomy' writes one"
        )
    if found.header.get("classes") != json.dumps(CLASSES):
        raise IncompatibleCheckpoint(f"{named}: was trained on other classes; train it anew with this version")
    with torch.device("meta"):
        made = Anatomy()
    files.load_weights(made, found.tensors, named, "the anatomy network")
    channels_last(made)
    return made.eval().requires_grad_(False), found.sha256
