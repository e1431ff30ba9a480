"""Feature maps of DINOv2, of CLIP's image encoder and of ResNet, through the library ``transformers``.

Models of the same architectures work too, with the normalisation that their own folders state: RAD-DINO is a DINOv2,
PubMedCLIP a CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from lowdose.hounsfield import Window
from lowdose.networks.features import hub
from lowdose.networks.features.base import FrozenFeatures, choose_layers, pad_far
from lowdose.networks.features.input_transform import IMAGENET, OPENAI_CLIP, WHOLE, WindowedRGB

FAMILIES = {
    family.name: family
    for family in (
        hub.Family(
            "dinov2",
            {"dinov2": "Dinov2Model", "dinov2_with_registers": "Dinov2WithRegistersModel"},
            "facebook/dinov2-base",
            IMAGENET,
        ),
        hub.Family(
            "clip",
            {"clip": "CLIPVisionModel", "clip_vision_model": "CLIPVisionModel"},
            "openai/clip-vit-large-patch14",
            OPENAI_CLIP,
        ),
        hub.Family("resnet", {"resnet": "ResNetModel"}, "microsoft/resnet-50", IMAGENET, "eager"),
    )
}


class Patches(FrozenFeatures):
    """Patch tokens of a vision transformer after chosen blocks, 'block1', 'block2', ... each (B, C, H/p, W/p).

    The image is not resized: it is padded with air at its lower and right edges to multiples of the patch size p (512
    to 518 for p = 14), so maps are ceil(H/p) x ceil(W/p), and the position embeddings are interpolated to that many
    patches. The class token and registers are left out. DINOv2's tokens pass its last layer norm, as in its authors'
    own feature maps; CLIP's tokens are the plain output of the block. With ``side``, the whole image is first resized
    to side x side pixels.
    """

    def __init__(
        self,
        name: str,
        loaded: hub.LoadedBackbone,
        layers: Sequence[str] | None,
        input_transform: WindowedRGB,
        side: int | None,
    ) -> None:
        super().__init__(name, loaded.network, int(loaded.config.patch_size))
        self.patch = self.smallest
        depth = int(loaded.config.num_hidden_layers)
        known = [f"block{n}" for n in range(1, depth + 1)]
        quarters = [known[-(-depth * part // 4) - 1] for part in range(1, 5)]
        self.layers = choose_layers(name, known, layers, quarters)
        # DINOv2 always interpolates its position embeddings, and takes no such argument.
        self.positions = {"interpolate_pos_encoding": True} if loaded.config.model_type.startswith("clip") else {}
        self.input_transform, self.side = input_transform, side

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Return the patch tokens of the chosen blocks as maps, by name."""
        padded = pad_far(_resize(image, self.side), self.patch)
        grid = [side // self.patch for side in padded.shape[-2:]]
        hidden = self.network(self.input_transform(padded), output_hidden_states=True, **self.positions).hidden_states
        last_norm = getattr(self.network, "layernorm", nn.Identity())
        return {
            layer: last_norm(hidden[int(layer.removeprefix("block"))])[:, -grid[0] * grid[1] :]
            .transpose(1, 2)
            .unflatten(2, grid)
            for layer in self.layers
        }


class Stages(FrozenFeatures):
    """Feature maps of a ResNet: 'stem' (B, C, H/4, W/4), 'stage1' of the same size, 'stage2' of half that size, ...

    Images may have any size from 32 pixels a side; sides are rounded up at every stride. With ``side``, the image is
    first resized to side x side pixels.
    """

    def __init__(
        self,
        name: str,
        loaded: hub.LoadedBackbone,
        layers: Sequence[str] | None,
        input_transform: WindowedRGB,
        side: int | None,
    ) -> None:
        super().__init__(name, loaded.network, 32)
        self.known = ["stem", *(f"stage{n}" for n in range(1, len(loaded.config.depths) + 1))]
        self.layers = choose_layers(name, self.known, layers, self.known[1:])
        self.input_transform, self.side = input_transform, side

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Return the maps of the chosen stages by name."""
        rgb = self.input_transform(_resize(image, self.side))
        hidden = self.network(rgb, output_hidden_states=True).hidden_states
        return {layer: hidden[self.known.index(layer)] for layer in self.layers}


def _resize(image: Tensor, side: int | None) -> Tensor:
    if side is None:
        return image
    return functional.interpolate(image, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


def load_backbone_features(
    name: str,
    weights: str | Path | None = None,
    layers: Sequence[str] | None = None,
    window: Window = WHOLE,
    trained_size: bool = False,
    fetch: bool = False,
) -> FrozenFeatures:
    """Load 'dinov2', 'clip' or 'resnet' from a folder with config.json and model.safetensors, or by its hub name.

    layers: names of layers; None takes the blocks at each quarter of the depth, or all stages. window: HU that are
    mapped to the network's input range. trained_size: resize every image to the size the network was trained at, which
    favours meaning over detail; otherwise slices are not resized. fetch: whether a hub name may be downloaded. Raises
    the errors of ``hub.load_from_hub``, and InvalidSetting for an unknown layer.
    """
    loaded = hub.load_from_hub(FAMILIES[name], weights, fetch)
    input_transform, side = WindowedRGB(loaded.statistics, window), loaded.side if trained_size else None
    if name == "resnet":
        return Stages(name, loaded, layers, input_transform, side)
    return Patches(name, loaded, layers, input_transform, side)
