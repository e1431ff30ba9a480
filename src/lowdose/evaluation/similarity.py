"""What a network of a training finds at all places of a slice, asked from a few: similarity, or attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch.nn import functional

from lowdose.hounsfield import OBJECTIVE
from lowdose.image import HU, Mask, Slice
from lowdose.language.body import body_mask
from lowdose.networks.anatomy_discriminator import UNIT, LoadedDiscriminator
from lowdose.networks.denoiser import MARGIN, pad_to
from lowdose.networks.features.semantic import semantic_maps
from lowdose.networks.mac_net import MULTIPLE, MACNet

QUERIES = 3
"""Places of a slice that are asked for."""

TISSUES: Mapping[str, tuple[float, float]] = {
    "soft tissue": (0.0, 100.0),
    "bone": (200.0, 2000.0),
    "lung or gas": (-1000.0, -600.0),
    "fat": (-140.0, -60.0),
}
"""HU of the tissues among which places are sought, in this order."""

BODY_SIDE = 48
"""Smallest side of an image for MAC-Net in pixels, with which its deepest map has 3 x 3 places."""


@dataclass(frozen=True, eq=False)
class Query:
    """One place of a slice and what was found at all others for it.

    Attributes
    ----------
    tissue : str
        Name of its tissue, of ``TISSUES``.
    row, column : int
        The place.
    values : numpy.ndarray
        (y, x): the cosine of the features at the place with those at all places, 0 to 1; or how much a discriminator
        that judges the place looks at each place, where 1 is as much as everywhere.
    """

    tissue: str
    row: int
    column: int
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SimilarityReading:
    """One slice with its queries.

    Attributes
    ----------
    index : int
        Index of the slice in its series.
    position : float or None, mm
        Position of the slice.
    aspect : float
        Height of a pixel over its width.
    hu : numpy.ndarray, HU
        The slice, (y, x).
    queries : list of Query
        At most ``QUERIES``; none where no tissue is found.
    """

    index: int
    position: float | None
    aspect: float
    hu: HU
    queries: list[Query]


def read_similarity(network: MACNet, item: Slice, index: int) -> SimilarityReading:
    """Return the similarity of all places of a slice to its queries."""
    hu = item.in_air
    places = query_places(hu, item.valid)
    queries = []
    if places:
        features = local_features(network, hu)
        for tissue, (row, column) in places.items():
            values = np.einsum("cyx,c->yx", features, features[:, row, column])
            queries.append(Query(tissue, row, column, values))
    return SimilarityReading(index, item.position, item.aspect, hu, queries)


def query_places(hu: HU, valid: Mask) -> dict[str, tuple[int, int]]:
    """Return the place (row, column) farthest inside each of the first ``QUERIES`` tissues that a slice has."""
    inside, found = body_mask(hu) & valid, dict[str, tuple[int, int]]()
    for tissue, (low, high) in TISSUES.items():
        mask = inside & (hu >= low) & (hu <= high)
        depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        if len(found) < QUERIES and depth.max() > 1:  # more than pixels by themselves, as noise makes them
            row, column = np.unravel_index(int(depth.argmax()), depth.shape)
            found[tissue] = int(row), int(column)
    return found


def read_attention(loaded: LoadedDiscriminator, item: Slice, index: int) -> SimilarityReading:
    """Return where ALDEN's discriminator looks when it judges each queried place, mean over its stages."""
    hu = item.in_air
    places, stages = query_places(hu, item.valid), attention_maps(loaded, hu) if min(hu.shape) >= BODY_SIDE else []
    queries = []
    for tissue, (row, column) in places.items() if stages else ():
        found = np.zeros(hu.shape, np.float32)
        for stage in stages:
            y, x = (
                place * side // size for place, side, size in zip((row, column), stage.shape, hu.shape, strict=False)
            )
            looked = torch.from_numpy(stage[y, x] * stage[y, x].size)[None, None]
            found += functional.interpolate(looked, hu.shape, mode="bilinear")[0, 0].numpy() / len(stages)
        queries.append(Query(tissue, row, column, found))
    return SimilarityReading(index, item.position, item.aspect, hu, queries)


@torch.inference_mode()
def attention_maps(loaded: LoadedDiscriminator, hu: HU) -> list[NDArray[np.float32]]:
    """Return the attention of each stage on a slice (y, x) in HU, (h, w, Y, X); its own semantics are the reference."""
    device = next(loaded.discriminator.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(hu, np.float32))[None, None].to(device)
    image = image.clamp(OBJECTIVE.low, OBJECTIVE.high)
    semantic = semantic_maps(loaded.features, OBJECTIVE.encode(image))
    return [stage[0].cpu().numpy() for stage in loaded.discriminator.attention(UNIT.encode(image), semantic)]


@torch.inference_mode()
def local_features(network: MACNet, hu: HU) -> NDArray[np.float32]:
    """Return MAC-Net's local map of a slice (y, x) in HU with features of length 1, (C, y, x)."""
    device = next(network.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(hu, np.float32))[None, None].to(device)
    units = pad_to(OBJECTIVE.encode(image.clamp(OBJECTIVE.low, OBJECTIVE.high)), MULTIPLE, BODY_SIDE)
    height, width = hu.shape
    maps = network(units)[1][0, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return np.asarray(functional.normalize(maps, dim=0).cpu().numpy())
