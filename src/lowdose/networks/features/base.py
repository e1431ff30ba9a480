"""What every feature network has in common: one small protocol, and weights that no training can move."""

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
    """An image as named feature maps. ``name`` says whose features they are, for logs and results."""

    name: str

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE`` -> maps (B, C, h, w) by name, fine to coarse."""


class FrozenFeatures(nn.Module, ABC):
    """A network that only looks: gradients reach the image, never the weights, and it stays in eval mode.

    ``train()`` of a module that holds it changes nothing, so that running statistics and dropout stay as they were
    loaded. A module that switches gradients on for all of its parameters must leave these out. Images may be of any
    floating-point type and at least ``smallest`` pixels a side; they are computed in the type of the weights, or that
    of autocast.
    """

    def __init__(self, name: str, network: nn.Module, smallest: int) -> None:
        super().__init__()
        self.name = name
        self.smallest = smallest
        self.network = network.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` is."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(B, 1, H, W) in the unit of ``OBJECTIVE`` -> maps (B, C, h, w) by name. ValueError for other shapes."""
        if image.ndim != 4 or image.shape[1] != 1 or min(image.shape[-2:]) < self.smallest:
            raise ValueError(
                f"{self.name} features of an image of shape {tuple(image.shape)}: needs (B, 1, H, W) with sides of at "
                f"least {self.smallest} pixels"
            )
        return self.maps(image.to(next(self.network.parameters()).dtype))

    @abstractmethod
    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Of an image whose shape and type are right."""


def choose_layers(
    owner: str, known: Sequence[str], wanted: Sequence[str] | None, usual: Sequence[str]
) -> tuple[str, ...]:
    """The layers ``wanted`` in the order of ``known``, or the usual ones. Raises InvalidSetting for others."""
    asked = usual if wanted is None else wanted
    strange = [layer for layer in asked if layer not in known]
    if strange or not asked:
        raise InvalidSetting(
            f"layer '{strange[0] if strange else ''}' of {owner}: choose one or more of {', '.join(known)}"
        )
    return tuple(layer for layer in known if layer in asked)


def pad_far(image: Tensor, multiple: int) -> Tensor:
    """(B, 1, H, W) with air (0 in the unit of ``OBJECTIVE``) below and right, up to multiples of ``multiple``."""
    down, right = (-side % multiple for side in image.shape[-2:])
    return functional.pad(image, (0, right, 0, down)) if down or right else image


def seeded(make: Callable[[], M], seed: int) -> M:
    """A network with random convolutions after He et al. 2015 (activations keep their size) and biases of 0.

    The numbers depend on ``seed`` alone, and the global random state stays as it was.
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
