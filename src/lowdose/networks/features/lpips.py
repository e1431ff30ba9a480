"""LPIPS, a perceptual distance between two images, fitted to human judgements (Zhang et al., CVPR 2018, Eq. 1).

    d(x, y) = sum over layers l of  mean over pixels of  w_l . (f_l(x) / |f_l(x)| - f_l(y) / |f_l(y)|)^2

with f_l the feature maps of VGG16 or AlexNet, and w_l >= 0 one weight for each channel.

R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang, The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Window
from lowdose.networks.features import convs, files
from lowdose.networks.features.input_transform import WHOLE

BACKBONES = ("vgg16", "alexnet")
_TINY = 1e-10


class Lpips(nn.Module):
    """LPIPS distance (B,) of two images (B, 1, H, W) in the unit of ``OBJECTIVE``: 0 for equal images, else positive.

    features: network whose maps are compared; heads: weights (C,) of the channels of each of its layers, none negative.
    Nothing in here is trained; gradients reach both images.
    """

    def __init__(self, features: convs.ConvFeatures, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.name = f"lpips-{features.name}"
        self.features = features
        # Buffers instead of parameters: they move with the module to a device, and no optimiser finds them.
        for number, head in enumerate(heads):
            self.register_buffer(f"head{number}", head.detach().clone().view(1, -1, 1, 1))

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the distance (B,) between two batches of images (B, 1, H, W)."""
        pairs = zip(self.features(one).values(), self.features(other).values(), strict=True)
        distances = [
            (self.get_buffer(f"head{number}") * (_unit(a) - _unit(b)) ** 2).sum(dim=1).mean(dim=(1, 2))
            for number, (a, b) in enumerate(pairs)
        ]
        return torch.stack(distances).sum(dim=0)


def _unit(map_: Tensor) -> Tensor:
    """Normalise a map to length 1 along the channels, in float32 at least: squares of half precision would overflow."""
    wide = map_.to(torch.promote_types(map_.dtype, torch.float32))
    # The constant is under the root, so that a pixel where all channels are 0 has a gradient of 0 and not of 0 / 0.
    return wide / (wide.square().sum(dim=1, keepdim=True) + _TINY**2).sqrt()


def weights_instructions(name: str) -> str:
    """Return instructions for getting a file of the linear heads, for error messages."""
    network = {"vgg16": "vgg", "alexnet": "alex"}[name]
    return (
        f"give the file of LPIPS heads for {name}, .safetensors or .pth, with weights 'lin0.model.1.weight' to "
        f"'lin4.model.1.weight'; it is weights/v0.1/{network}.pth of the Python package lpips ('pip download --no-deps "
        f"lpips', and unzip); or ask for '{name}-random', which is not trained at all"
    )


def load_lpips(name: str, path: Path | None, heads: Path | None, window: Window = WHOLE) -> Lpips:
    """Load LPIPS on 'vgg16' (as in VQGAN's and LEDA's autoencoders) or 'alexnet' (as in most tables of results).

    path: file of the backbone, as for ``convs.load_conv_features``; heads: file of the linear layers, with weights
    'lin<k>.model.1.weight' (1, C, 1, 1). window: HU that are mapped to [0, 1], as the published weights expect natural
    images in [0, 1]. Raises IncompatibleCheckpoint when a file is missing or does not fit, and InvalidSetting for
    another name.
    """
    if name not in BACKBONES:
        raise InvalidSetting(f"LPIPS on '{name}': has heads for {', '.join(BACKBONES)} only")
    if heads is None:
        raise IncompatibleCheckpoint(f"no LPIPS heads for '{name}': they are not shipped; {weights_instructions(name)}")
    backbone = convs.load_conv_features(name, path, window=window)
    shapes = {
        f"lin{k}.model.1.weight": torch.Size((1, width, 1, 1)) for k, width in enumerate(_widths(name, backbone.layers))
    }
    weights = files.pick_tensors(
        files.read_state_dict(heads, weights_instructions(name)), shapes, heads, weights_instructions(name)
    )
    for key, value in weights.items():
        if not bool(((value >= 0) & value.isfinite()).all()):
            raise IncompatibleCheckpoint(
                f"{heads}: '{key}' has values that are negative or no numbers, under which a distance has no meaning; "
                f"{weights_instructions(name)}"
            )
    return Lpips(backbone, [value.float() for value in weights.values()])


def random_lpips(name: str, window: Window = WHOLE, seed: int = 0) -> Lpips:
    """Return LPIPS with seeded random weights and equal weights for all channels of a layer.

    It is named 'lpips-<name>-random', so that every result shows it. Raises InvalidSetting for another name.
    """
    if name not in BACKBONES:
        raise InvalidSetting(f"LPIPS on '{name}': has heads for {', '.join(BACKBONES)} only")
    backbone = convs.random_conv_features(name, window=window, seed=seed)
    return Lpips(backbone, [torch.full((width,), 1.0 / width) for width in _widths(name, backbone.layers)])


def _widths(name: str, layers: Sequence[str]) -> list[int]:
    return [convs.layers_of(name)[layer] for layer in layers]
