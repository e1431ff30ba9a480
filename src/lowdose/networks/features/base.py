"""The interface of all feature networks, and their base class with weights that no training changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import InvalidSetting

M = TypeVar("M", bound=nn.Module)


class Features(Protocol):
    """Callable that turns an image into named feature maps.

    Attributes
    ----------
    name : str
        Name of the features, for logs and results.
    """

    name: str

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return maps (B, C, h, w) by name, fine to coarse, of images (B, 1, H, W) in the unit of ``OBJECTIVE``."""


class FrozenFeatures(nn.Module, ABC):
    """Feature network with frozen weights: gradients reach the image, never the weights.

    The network stays in eval mode. ``train()`` of a module that contains it changes nothing, so that running statistics
    and dropout stay as they were loaded. A module that switches gradients on for all of its parameters must leave these
    out. Images may have any floating-point type and at least ``smallest`` pixels a side; features are computed in the
    type of the weights, or that of autocast.
    """

    def __init__(self, name: str, network: nn.Module, smallest: int) -> None:
        super().__init__()
        self.name = name
        self.smallest = smallest
        self.network = network.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Keep the network in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return maps (B, C, h, w) by name of images (B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE``.

        Raises ValueError for images of another shape, or with fewer than ``smallest`` pixels a side.
        """
        if image.ndim != 4 or image.shape[1] != 1 or min(image.shape[-2:]) < self.smallest:
            raise ValueError(
                f"{self.name} features of an image of shape {tuple(image.shape)}: needs (B, 1, H, W) with sides of at "
                f"least {self.smallest} pixels"
            )
        return self.maps(image.to(next(self.network.parameters()).dtype))

    @abstractmethod
    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Return the feature maps by name of an image whose shape and type have been checked."""


def choose_layers(
    owner: str, known: Sequence[str], wanted: Sequence[str] | None, usual: Sequence[str]
) -> tuple[str, ...]:
    """Return the ``wanted`` layers in the order of ``known``, or the ``usual`` ones if None is wanted.

    owner: name of the features, for the message. Raises InvalidSetting for unknown layers, and for none at all.
    """
    requested = usual if wanted is None else wanted
    unknown = [layer for layer in requested if layer not in known]
    if unknown or not requested:
        raise InvalidSetting(
            f"layer '{unknown[0] if unknown else ''}' of {owner}: choose one or more of {', '.join(known)}"
        )
    return tuple(layer for layer in known if layer in requested)


def pad_far(image: Tensor, multiple: int) -> Tensor:
    """Pad (B, 1, H, W) below and right to multiples of ``multiple``, with air (0 in the unit of ``OBJECTIVE``)."""
    down, right = (-side % multiple for side in image.shape[-2:])
    return functional.pad(image, (0, right, 0, down)) if down or right else image


def seeded(make: Callable[[], M], seed: int) -> M:
    """Make a network and draw the weights of its convolutions as He et al. 2015 do, with biases of 0.

    This initialisation preserves the variance of activations. The weights depend on ``seed`` alone, and the global
    random state is left unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        network = make()
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
