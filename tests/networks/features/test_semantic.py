"""Maps of an image that several look at are made once, and anew when the image is another."""

from __future__ import annotations

import gc

import torch

from lowdose.networks.features import semantic
from lowdose.networks.features.registry import load_features
from lowdose.networks.features.semantic import MAPS, fixed_maps, semantic_maps


def test_they_are_kept_for_one_version_of_one_image_and_one_model() -> None:
    features, other = load_features("anatomy-random"), load_features("anatomy")
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    first = fixed_maps(features, image)
    assert len(first) == MAPS
    assert not any(map_.requires_grad for map_ in first)
    for mine, theirs in zip(first, semantic_maps(features, image), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert fixed_maps(features, image) is first
    assert fixed_maps(other, image) is not first
    assert fixed_maps(features, image.clone()) is not first
    before = fixed_maps(features, image)
    image.mul_(0.5)
    assert not torch.equal(fixed_maps(features, image)[0], before[0])


def test_they_go_with_the_image() -> None:
    features, kept = load_features("anatomy-random"), len(semantic._made)
    image = torch.rand(1, 1, 64, 64)
    fixed_maps(features, image)
    assert len(semantic._made) == kept + 1
    del image
    gc.collect()
    assert len(semantic._made) == kept
