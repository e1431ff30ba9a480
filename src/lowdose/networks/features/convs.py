"""Feature maps of VGG16, VGG19 (Simonyan & Zisserman, ICLR 2015) and AlexNet (Krizhevsky 2014).

Networks are built up to the deepest layer that is requested.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Window
from lowdose.networks.features import files
from lowdose.networks.features.base import FrozenFeatures, choose_layers, seeded
from lowdose.networks.features.input_transform import IMAGENET, WHOLE, ChannelStatistics, WindowedRGB


class _Conv(NamedTuple):
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


class _Pool(NamedTuple):
    kernel: int = 2
    stride: int = 2


def _vgg(*depths: int) -> list[tuple[str, _Conv | _Pool]]:
    plan: list[tuple[str, _Conv | _Pool]] = []
    for block, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
        plan += [(f"{block}_{n}", _Conv(width)) for n in range(1, depth + 1)]
        plan.append((str(block), _Pool()))
    return plan


PLANS: dict[str, list[tuple[str, _Conv | _Pool]]] = {
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
    "alexnet": [
        ("1", _Conv(64, 11, 4, 2)),
        ("1", _Pool(3)),
        ("2", _Conv(192, 5, 1, 2)),
        ("2", _Pool(3)),
        ("3", _Conv(384)),
        ("4", _Conv(256)),
        ("5", _Conv(256)),
        ("5", _Pool(3)),
    ],
}

USUAL = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "vgg19": ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4"),
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
}
"""Default layers, the last of every block.

Those of VGG19, indices 3, 8, 17, 26 and 35, are the layers of LEDA's perceptual loss; those of VGG16 and AlexNet are
the layers of LPIPS. WGAN-VGG uses a single layer, 'conv5_4' of VGG19, before its ReLU.
"""


def layers_of(name: str) -> dict[str, int]:
    """Return the channels of 'conv1_1', 'relu1_1', ... 'pool5', in the order of torchvision's ``features``."""
    channels_by_layer: dict[str, int] = {}
    channels = 3
    for label, step in PLANS[name]:
        channels = step.width if isinstance(step, _Conv) else channels
        channels_by_layer |= {
            kind + label: channels for kind in (("conv", "relu") if isinstance(step, _Conv) else ("pool",))
        }
    return channels_by_layer


class _Stack(nn.Module):
    """Layers of a network up to the deepest one requested, with torchvision's names, 'features.<index>.weight'."""

    def __init__(self, name: str, layers: Sequence[str]) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        channels = 3
        for label, step in PLANS[name]:
            if isinstance(step, _Pool):
                modules.append(nn.MaxPool2d(step.kernel, step.stride))
                continue
            # The output of a convolution before its ReLU is kept only on request, which halves the memory.
            relu = nn.ReLU(inplace=f"conv{label}" not in layers)
            modules += [nn.Conv2d(channels, step.width, step.kernel, step.stride, step.padding), relu]
            channels = step.width
        self.names = list(layers_of(name))
        self.deepest = max(self.names.index(layer) for layer in layers)
        self.features = nn.Sequential(*modules[: self.deepest + 1])


def _smallest(name: str, deepest: int) -> int:
    """Return the smallest side of an image, in pixels, for which the layer at index ``deepest`` has an output."""
    side, index = 1, len(layers_of(name))
    for _, step in reversed(PLANS[name]):
        index -= 1 if isinstance(step, _Pool) else 2
        if index <= deepest:
            padding = 0 if isinstance(step, _Pool) else step.padding
            side = max((side - 1) * step.stride + step.kernel - 2 * padding, 1)
    return side


class ConvFeatures(FrozenFeatures):
    """Feature maps of VGG or AlexNet at their own resolution: VGG halves sides, rounded down, at every pooling."""

    network: _Stack

    def __init__(self, name: str, stack: _Stack, layers: Sequence[str], input_transform: WindowedRGB) -> None:
        super().__init__(name, stack, _smallest(name.removesuffix("-random"), stack.deepest))
        self.layers = tuple(layers)
        self.input_transform = input_transform

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Return the chosen feature maps by name."""
        h = self.input_transform(image)
        chosen = {}
        for name, layer in zip(self.network.names, self.network.features, strict=False):
            h = layer(h)
            if name in self.layers:
                chosen[name] = h
        return chosen


def weights_instructions(name: str) -> str:
    """Return instructions for getting a file of pretrained weights, for error messages."""
    return (
        f"give a file of {name} weights, .safetensors or .pth, with the names of torchvision ('features.0.weight'); on "
        f'a connected machine with torchvision: python -c "import torch, torchvision; '
        f"torch.save(torchvision.models.{name}(weights='IMAGENET1K_V1').state_dict(), '{name}.pth')\"; or ask for "
        f"'{name}-random', which is not trained at all"
    )


def load_conv_features(
    name: str,
    path: Path | None,
    layers: Sequence[str] | None = None,
    window: Window = WHOLE,
    statistics: ChannelStatistics = IMAGENET,
) -> ConvFeatures:
    """Load 'vgg16', 'vgg19' or 'alexnet' with pretrained weights from a file with torchvision's names.

    layers: names of ``layers_of``; None takes ``USUAL``. window: HU that are mapped to [0, 1]; statistics: for the
    normalisation of these values. Raises IncompatibleCheckpoint when there is no such file or its weights do not fit,
    and InvalidSetting for an unknown layer.
    """
    if path is None:
        raise IncompatibleCheckpoint(f"no weights for '{name}': they are not shipped; {weights_instructions(name)}")
    chosen = choose_layers(name, list(layers_of(name)), layers, USUAL[name])
    with torch.device("meta"):
        stack = _Stack(name, chosen)
    files.load_state_dict(stack, path, weights_instructions(name))
    return ConvFeatures(name, stack, chosen, WindowedRGB(statistics, window))


def random_conv_features(
    name: str,
    layers: Sequence[str] | None = None,
    window: Window = WHOLE,
    statistics: ChannelStatistics = IMAGENET,
    seed: int = 0,
) -> ConvFeatures:
    """Return the network with seeded random weights, named '<name>-random' so that every result shows it."""
    chosen = choose_layers(name, list(layers_of(name)), layers, USUAL[name])
    stack = seeded(lambda: _Stack(name, chosen), seed)
    return ConvFeatures(f"{name}-random", stack, chosen, WindowedRGB(statistics, window))
