"""Anatomy-aware discriminator of ALDEN (Wang et al., MICCAI 2025): PatchGAN that attends to semantic features.

Only the abstract of the paper is public: hierarchical semantic features of the full-dose image, from a pretrained
vision model, are fused into the discriminator by cross-attention. How is this project's choice, after SeD (Li et al.,
CVPR 2024), the closest published relative.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.networks.discriminator import SLOPE
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_features
from lowdose.networks.features.semantic import MAPS
from lowdose.weights.artefact import artefact_name, fill_artefact
from lowdose.weights.files import read_weights

UNIT = Scale(low=-1000.0, high=2000.0, zero=-160.0, one=240.0)
"""Unit of the images that are judged: in [-1000, 2000] HU as [0, 1] noise would be a hundredth."""
ARTEFACT = "discriminator"
"""Name of the file that a training keeps it in."""
STAGES = MAPS
"""Stages that halve the image, each followed by a fusion with one semantic map."""
MOST_KEYS = 32
"""Pixels a side of the largest map that is attended to; larger ones are averaged down to it."""


class CrossAttention(nn.Module):
    """Fusion of a discriminator's map with a semantic map: the tissue at each place asks where to look in the image.

    (B, C, H, W) and (B, S, h, w) -> (B, C, H, W). Queries come from the semantic map, keys and values from the
    discriminator's; what was attended to is brought to H x W, mixed with the discriminator's map by a 3x3 convolution
    and added to it, times ``gate``. With a gate of 0 the map stays as it is.

    Parameters
    ----------
    channels, semantic : int
        Channels C and S.
    width : int
        Channels of queries and keys.
    """

    def __init__(self, channels: int, semantic: int, width: int = 64) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, semantic)
        self.query = nn.Conv2d(semantic, width, 1)
        self.key, self.value = nn.Conv2d(channels, width, 1), nn.Conv2d(channels, channels, 1)
        self.mix = spectral_norm(nn.Conv2d(2 * channels, channels, 3, padding=1))
        self.gate = nn.Parameter(torch.ones(()))

    def forward(self, h: Tensor, semantic: Tensor) -> Tensor:
        """Return the fused map."""
        looked = self.weights(h, semantic).flatten(1, 2).flatten(2)
        seen = self.value(_pooled(h)).flatten(2) @ looked.transpose(1, 2)
        seen = seen.unflatten(2, semantic.shape[-2:])
        seen = functional.interpolate(seen, h.shape[-2:], mode="bilinear", align_corners=False)
        return h + self.gate * functional.leaky_relu(self.mix(torch.cat([h, seen], dim=1)), SLOPE)

    def weights(self, h: Tensor, semantic: Tensor) -> Tensor:
        """Return how much each place of the semantic map looks at each of the image, (B, h, w, y, x); sums are 1."""
        keys = _pooled(h)
        # GroupNorm's backward pass crashes on a CPU (PyTorch 2.13) where a map in channels_last needs no gradient.
        query, key = self.query(self.norm(semantic.contiguous())).flatten(2), self.key(keys).flatten(2)
        found: Tensor = (query.transpose(1, 2) @ key / query.shape[1] ** 0.5).softmax(dim=-1)
        return found.reshape(len(h), *semantic.shape[-2:], *keys.shape[-2:])


def _pooled(h: Tensor) -> Tensor:
    height, width = (min(MOST_KEYS, side) for side in h.shape[-2:])
    return functional.adaptive_avg_pool2d(h, (height, width)) if (height, width) != tuple(h.shape[-2:]) else h


class AnatomyDiscriminator(nn.Module):
    """PatchGAN with spectral normalisation, whose stages are fused with semantic maps of the full-dose image.

    Images (B, 1, H, W) in ``UNIT`` and ``STAGES`` semantic maps, fine to coarse -> logits (B, 1, h, w), one for each
    overlapping patch. Real and denoised images are judged with the same maps. Without maps, or with all gates at 0, it
    is an ordinary PatchGAN. Nothing is normalised over the batch.

    Parameters
    ----------
    semantic : sequence of int
        Channels of each semantic map; empty for an ordinary PatchGAN.
    width : int
        Channels of the first stage.

    References
    ----------
    R. Wang et al., Anatomy-Aware Low-Dose CT Denoising via Pretrained Vision Models and Semantic-Guided Contrastive
    Learning, MICCAI 2025 (abstract).
    B. Li et al., SeD: Semantic-Aware Discriminator for Image Super-Resolution, CVPR 2024.
    P. Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017.
    T. Miyato et al., Spectral Normalization for GANs, ICLR 2018.
    """

    def __init__(self, semantic: Sequence[int] = (), width: int = 64) -> None:
        super().__init__()
        if len(semantic) not in (0, STAGES):
            raise ValueError(f"{len(semantic)} semantic maps: the discriminator fuses {STAGES}, or none")
        widths = [1, *(width * 2**stage for stage in range(STAGES))]
        self.stages = nn.ModuleList([_convolution(a, b, stride=2) for a, b in pairwise(widths)])
        self.fusions = nn.ModuleList([CrossAttention(c, s) for c, s in zip(widths[1:], semantic, strict=False)])
        self.last = _convolution(widths[-1], widths[-1], stride=1)
        self.logits = spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, image: Tensor, semantic: Sequence[Tensor] = ()) -> Tensor:
        """Return the logits of patches; above 0 is real."""
        return self._logits_and_maps(image, semantic)[0]

    @torch.no_grad()
    def attention(self, image: Tensor, semantic: Sequence[Tensor]) -> list[Tensor]:
        """Return for each stage where the tissue at each place looks, see ``CrossAttention.weights``."""
        maps = self._logits_and_maps(image, semantic)[1]
        return [fusion.weights(h, s) for fusion, h, s in zip(self.fusions, maps, semantic, strict=True)]  # type: ignore[operator]

    def _logits_and_maps(self, image: Tensor, semantic: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if len(semantic) != len(self.fusions):
            raise ValueError(f"{len(semantic)} semantic maps: this discriminator fuses {len(self.fusions)}")
        h, before = image, list[Tensor]()
        for place, stage in enumerate(self.stages):
            h = functional.leaky_relu(stage(h), SLOPE)
            before.append(h)
            if semantic:
                h = self.fusions[place](h, semantic[place])
        return self.logits(functional.leaky_relu(self.last(h), SLOPE)), before


class LoadedDiscriminator(NamedTuple):
    """A trained discriminator and the features whose semantic maps it fuses."""

    discriminator: AnatomyDiscriminator
    features: FrozenFeatures


def load_discriminator(run: Path) -> LoadedDiscriminator:
    """Load the anatomy-aware discriminator that a training with ``alden`` kept, in eval mode.

    run: the run folder, or the file in it. Raises InvalidSetting where there is none, or one without attention, and
    IncompatibleCheckpoint for a file that is damaged or holds something else.
    """
    path = run / f"{ARTEFACT}.safetensors" if run.is_dir() else run
    file = read_weights(path)
    shapes = {name: tuple(value.shape) for name, value in file.tensors.items()}
    semantic = [shapes.get(f"fusions.{stage}.query.weight", (0, 0))[1] for stage in range(STAGES)]
    first = shapes.get("stages.0.parametrizations.weight.original")
    if artefact_name(file) != ARTEFACT or first is None:
        raise IncompatibleCheckpoint(f"{path}: holds no discriminator of ALDEN; name one of a training with 'alden'")
    if not all(semantic):
        raise InvalidSetting(f"{path}: was trained with anatomy_aware=0, so that it attends to nothing")
    name = str(json.loads(file.header["training"])["features"]).partition(" ")[0]
    discriminator = AnatomyDiscriminator(semantic, first[0])
    fill_artefact(discriminator, ARTEFACT, file, path)
    return LoadedDiscriminator(discriminator.eval(), load_features(name))


def _convolution(a: int, b: int, stride: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(a, b, 4, stride, 1))
