"""Features of the project's own anatomy network: trained on CT, shipped with the package, the default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lowdose.networks import anatomy
from lowdose.networks.anatomy import MULTIPLE, WIDTHS, Anatomy
from lowdose.networks.features.base import FrozenFeatures, choose_layers, pad_far, seeded

LAYERS = ("full", *(f"1/{2**level}" for level in range(1, len(WIDTHS))))


class AnatomyFeatures(FrozenFeatures):
    """The maps of ``Anatomy.features``: 'full' (B, 16, H, W), '1/2', '1/4', ... '1/32' (B, 192, H/32, W/32).

    Sides may be any from 32: the image is padded with air at the far edges to the next multiple of 32, and each map
    cut back to its share, ceil(H / stride) x ceil(W / stride). ``network`` itself is frozen, not a copy. It was
    trained on pixels of about 1 mm; a perceptual loss may show it others, a segmentation should not.
    """

    network: Anatomy

    def __init__(self, network: Anatomy, layers: Sequence[str] | None = None, name: str = "anatomy") -> None:
        super().__init__(name, network, MULTIPLE)
        self.layers = choose_layers(name, LAYERS, layers, LAYERS)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        padded = pad_far(image, MULTIPLE)
        found = self.network.features(padded)
        return {layer: _share(found[layer], image, padded) for layer in self.layers}


def _share(map_: Tensor, image: Tensor, padded: Tensor) -> Tensor:
    """The part of a map that belongs to the image and not to its padding alone."""
    stride = padded.shape[-1] // map_.shape[-1]
    height, width = (-(-side // stride) for side in image.shape[-2:])
    return map_[..., :height, :width]


def load_anatomy_features(path: Path | None = None, layers: Sequence[str] | None = None) -> AnatomyFeatures:
    """Of the shipped anatomy network, or of one in a file. Raises IncompatibleCheckpoint as ``anatomy.load_anatomy_features`` does."""
    return AnatomyFeatures(anatomy.load_anatomy(path), layers)


def random_anatomy_features(layers: Sequence[str] | None = None, seed: int = 0) -> AnatomyFeatures:
    """The same network with seeded random weights, called 'anatomy-random'."""
    return AnatomyFeatures(seeded(Anatomy, seed), layers, "anatomy-random")
