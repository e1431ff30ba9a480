"""Features of the project's own anatomy network, which is trained on CT and shipped with the package: the default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lowdose.networks import anatomy
from lowdose.networks.anatomy import MULTIPLE, WIDTHS, Anatomy
from lowdose.networks.features.base import FrozenFeatures, choose_layers, pad_far, seeded

LAYERS = ("full", *(f"1/{2**level}" for level in range(1, len(WIDTHS))))


class AnatomyFeatures(FrozenFeatures):
    """Feature maps of ``Anatomy.features``: 'full' (B, 16, H, W), '1/2', '1/4', ... '1/32' (B, 192, H/32, W/32).

    Sides may have any length from 32 pixels: the image is padded with air at its lower and right edges to the next
    multiple of 32, and each map is cropped to ceil(H / stride) x ceil(W / stride). ``network`` itself is frozen, not a
    copy of it. It was trained on pixels of about 1 mm; other pixel sizes are fine for a perceptual loss, but not for a
    segmentation.
    """

    network: Anatomy

    def __init__(self, network: Anatomy, layers: Sequence[str] | None = None, name: str = "anatomy") -> None:
        super().__init__(name, network, MULTIPLE)
        self.layers = choose_layers(name, LAYERS, layers, LAYERS)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Return the chosen feature maps by name."""
        padded = pad_far(image, MULTIPLE)
        padded_maps = self.network.features(padded)
        return {layer: _crop(padded_maps[layer], image, padded) for layer in self.layers}


def _crop(map_: Tensor, image: Tensor, padded: Tensor) -> Tensor:
    """Remove the rows and columns of a map that show nothing but padding."""
    stride = padded.shape[-1] // map_.shape[-1]
    height, width = (-(-side // stride) for side in image.shape[-2:])
    return map_[..., :height, :width]


def load_anatomy_features(path: Path | None = None, layers: Sequence[str] | None = None) -> AnatomyFeatures:
    """Load the features of the shipped anatomy network, or of the one in a file.

    Raises IncompatibleCheckpoint as ``networks.anatomy.read_anatomy`` does, and InvalidSetting for an unknown layer.
    """
    return AnatomyFeatures(anatomy.load_anatomy(path), layers)


def random_anatomy_features(layers: Sequence[str] | None = None, seed: int = 0) -> AnatomyFeatures:
    """Return features of an anatomy network with seeded random weights, named 'anatomy-random'."""
    return AnatomyFeatures(seeded(Anatomy, seed), layers, "anatomy-random")
