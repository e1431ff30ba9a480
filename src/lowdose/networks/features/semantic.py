"""Semantic maps of an image: the coarsest feature maps of a frozen vision model, which tell tissues apart."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.errors import InvalidSetting
from lowdose.networks.features.base import FrozenFeatures

MAPS = 3
"""Semantic maps that are taken, the coarsest ones of the features."""


def semantic_maps(features: FrozenFeatures, image: Tensor) -> list[Tensor]:
    """Return the coarsest ``MAPS`` maps, fine to coarse, of an image (B, 1, H, W) in the unit of objectives."""
    return list(features(image).values())[-MAPS:]


def map_channels(features: FrozenFeatures) -> list[int]:
    """Return the channels of the maps that ``semantic_maps`` takes; raises InvalidSetting where there are fewer."""
    side = max(64, features.smallest)
    maps = semantic_maps(features, torch.zeros(1, 1, side, side, device=next(features.parameters()).device))
    if len(maps) < MAPS:
        raise InvalidSetting(
            f"features '{features.name}' have {len(maps)} layer(s): semantics are taken from {MAPS}; choose others"
        )
    return [map_.shape[1] for map_ in maps]
