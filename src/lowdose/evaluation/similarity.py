"""What MAC-Net takes for similar: cosines of its features at a place of a slice with those at all places."""

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
from lowdose.networks.denoiser import MARGIN, pad_to
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
    """One place of a slice and how similar to it all others are.

    Attributes
    ----------
    tissue : str
        Name of its tissue, of ``TISSUES``.
    row, column : int
        The place.
    cosines : numpy.ndarray
        Cosine of the features at the place with those at all places, (y, x), 0 to 1.
    """

    tissue: str
    row: int
    column: int
    cosines: NDArray[np.float32]


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
            cosines = np.einsum("cyx,c->yx", features, features[:, row, column])
            queries.append(Query(tissue, row, column, cosines))
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


@torch.inference_mode()
def local_features(network: MACNet, hu: HU) -> NDArray[np.float32]:
    """Return MAC-Net's local map of a slice (y, x) in HU with features of length 1, (C, y, x)."""
    device = next(network.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(hu, np.float32))[None, None].to(device)
    units = pad_to(OBJECTIVE.encode(image.clamp(OBJECTIVE.low, OBJECTIVE.high)), MULTIPLE, BODY_SIDE)
    height, width = hu.shape
    maps = network(units)[1][0, :, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    return np.asarray(functional.normalize(maps, dim=0).cpu().numpy())
