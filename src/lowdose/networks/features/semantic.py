"""Semantic maps of an image: the coarsest feature maps of a frozen vision model, which tell tissues apart."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import NamedTuple
from weakref import ReferenceType, ref

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from lowdose.errors import InvalidSetting
from lowdose.networks.features.base import FrozenFeatures

MAPS = 3
"""Semantic maps that are taken, the coarsest ones of the features."""


def semantic_maps(features: FrozenFeatures, image: Tensor) -> list[Tensor]:
    """Return the coarsest ``MAPS`` maps, fine to coarse, of an image (B, 1, H, W) in the unit of objectives."""
    return list(features(image).values())[-MAPS:]


class _Made(NamedTuple):
    """Maps of an image, by which features and of which version of it they were made."""

    features: ReferenceType[FrozenFeatures]
    version: int
    maps: list[Tensor]


_made: MutableMapping[Tensor, _Made] = WeakTensorKeyDictionary()
"""Image -> its maps, for as long as the image lives."""


def fixed_maps(features: FrozenFeatures, image: Tensor) -> list[Tensor]:
    """Return ``semantic_maps`` without gradients; of one image they are made once, however many look at it."""
    known = _made.get(image)
    version = 0 if image.is_inference() else image._version
    if known is None or known.features() is not features or known.version != version:
        with torch.no_grad():
            known = _Made(ref(features), version, semantic_maps(features, image))
        _made[image] = known
    return known.maps


def map_channels(features: FrozenFeatures) -> list[int]:
    """Return the channels of the maps that ``semantic_maps`` takes; raises InvalidSetting where there are fewer."""
    side = max(64, features.smallest)
    maps = semantic_maps(features, torch.zeros(1, 1, side, side, device=next(features.parameters()).device))
    if len(maps) < MAPS:
        raise InvalidSetting(
            f"features '{features.name}' have {len(maps)} layer(s): semantics are taken from {MAPS}; choose others"
        )
    return [map_.shape[1] for map_ in maps]
