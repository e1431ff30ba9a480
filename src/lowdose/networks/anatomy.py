"""The anatomy network, which assigns every pixel of a CT slice to an organ class, and its weights files.

The architecture is the project's own and small enough to ship with the package. The recipe ``anatomy`` trains it.
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
"""Both sides of an image must be multiples of this number of pixels."""

WIDTHS = (16, 32, 64, 128, 160, 192)
"""Channels of the encoder's levels, from full resolution to 1/32."""


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Residual block of two 3x3 convolutions with batch normalisation (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class _Up(nn.Module):
    """Decoder step: upsample coarse features by 2 and add the encoder's features of that resolution."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.lateral = nn.Conv2d(fine, fine, 1)
        self.join = _conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        upsampled = functional.interpolate(self.narrow(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        joined: Tensor = self.join(upsampled + self.lateral(fine))
        return joined


class Anatomy(nn.Module):
    """U-Net for organ segmentation: image (B, 1, H, W) -> class logits (B, len(CLASSES), H/2, W/2).

    The image is in the unit of ``hounsfield.OBJECTIVE``, with H and W multiples of 32. The network has one layer at
    full resolution and works at half resolution and coarser from there on, with residual blocks and with skip
    connections that are added. It has no settings; its widths are ``WIDTHS``.

    The first layer receives the image in two channels, the whole HU range and a soft-tissue window, since bone and
    lung would otherwise outweigh the few HU that separate organs.

    Attributes
    ----------
    multiple : int
        Both sides of an image must be multiples of this.
    smallest : int
        Pixels a side of the smallest image that callers should pass in.

    References
    ----------
    O. Ronneberger, P. Fischer, T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015;
    this network is a variant of it.
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
        """Return class logits (B, len(CLASSES), H/2, W/2) of an image (B, 1, H, W).

        Raises ValueError when a side of the image is no multiple of 32.
        """
        levels = list(self.features(image).values())
        h = levels.pop()
        for up in self.up:
            h = up(h, levels.pop())
        logits: Tensor = self.head(h)
        return logits

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Return the encoder's feature maps by name: 'full' (B, 16, H, W), '1/2', ... '1/32' (B, 192, H/32, W/32).

        Raises ValueError when a side of the image (B, 1, H, W) is no multiple of 32.
        """
        if image.shape[-1] % MULTIPLE or image.shape[-2] % MULTIPLE:
            raise ValueError(f"the anatomy network needs sides that are multiples of {MULTIPLE}, got {image.shape}")
        h = self.stem(_input_channels(image))
        maps = {"full": h}
        for level, down in enumerate(self.down, start=1):
            h = down(h)
            maps[f"1/{2**level}"] = h
        return maps


def _input_channels(image: Tensor) -> Tensor:
    """Return (B, 2, H, W): the whole HU range, and the soft-tissue window from -160 to 240 HU."""
    hu = OBJECTIVE.decode(image)
    return torch.cat([(hu / 1000).clamp(-1.1, 2.0), ((hu - 40) / 200).clamp(-1.0, 1.0)], dim=1)


def serialise_anatomy(network: Anatomy, training: Mapping[str, object], dtype: torch.dtype = torch.float32) -> bytes:
    """Return the bytes of a weights file that ``load_anatomy`` reads: weights, classes and training record."""
    header = {"format": FORMAT, "classes": json.dumps(CLASSES), "training": json.dumps(training)}
    return files.serialise_weights(network, header, dtype)


def load_anatomy(path: Path | None = None) -> Anatomy:
    """Load the shipped anatomy network, or the one in a file; see ``read_anatomy``."""
    return read_anatomy(path)[0]


def read_anatomy(path: Path | None = None) -> tuple[Anatomy, str]:
    """Load an anatomy network together with the SHA-256 hash of its weights file.

    path: a file that the recipe ``anatomy`` wrote; None loads the network that is shipped with the package. The
    network is returned in eval mode, without gradients. Raises IncompatibleCheckpoint when the file is damaged, holds
    something else, or was trained on other classes.
    """
    weights_file = files.read_shipped("anatomy") if path is None else files.read_weights(path)
    source = str(path or "anatomy")
    file_format = weights_file.header.get("format", "not stated")
    if file_format != FORMAT:
        raise IncompatibleCheckpoint(
            f"{source}: its format is '{file_format}', an anatomy network has '{FORMAT}'; "
            "'lowdose train anatomy' writes one"
        )
    if weights_file.header.get("classes") != json.dumps(CLASSES):
        raise IncompatibleCheckpoint(f"{source}: was trained on other classes; train it anew with this version")
    with torch.device("meta"):
        network = Anatomy()
    files.load_weights(network, weights_file.tensors, source, "the anatomy network")
    channels_last(network)
    return network.eval().requires_grad_(False), weights_file.sha256
