"""Where a slice was reconstructed: padding declared in the header, and the out-of-field that no header declares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lowdose.image import HU, Mask
from lowdose.io.dicom.rescale import StoredPixels

AIR = -950.0
"""HU. A declared padding value above this also occurs in tissue, so only regions at the image border are padding."""

OUT_OF_FIELD = -1000.0
"""HU. No undeclared value above this is taken for out-of-field."""

UNPHYSICAL = -4096.0
"""HU. Nothing below is a measurement, whatever the reconstruction does beside metal."""

RINGING = -1500.0
"""HU. Below it, in a lossy file, is padding blurred by the compression."""

GROWTH_STEPS = 30
"""Pixels that a region may reach beyond its runs before labelling the whole mask is the cheaper way."""

CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def same_bits(value: int, kind: np.dtype[Any]) -> int:
    """A header's number as pixels of a type hold it: often stated under the wrong sign, as 63536 for -2000."""
    width = kind.itemsize
    return int(np.array(value % (1 << (8 * width)), f"u{width}").view(f"{kind.kind}{width}"))


def declared(
    stored: StoredPixels, values: StoredPixels, padding: tuple[int, int], slope: float, intercept: float
) -> Mask:
    """Pixels in the closed range of declared padding values; of values that also occur in tissue, border regions only.

    stored and values differ where a file keeps other bits above its pixels; padding may count them in.
    """
    first, last = sorted(same_bits(value, stored.dtype) for value in padding)
    if first == last:
        found = stored == first
        if values is not stored:
            found |= values == first
    else:
        found = (values >= first) & (values <= last)
    highest = max(first * slope, last * slope) + intercept
    return at_border(found) if highest > AIR else np.asarray(found)


def beside_padding(
    values: NDArray[np.int64],
    exact: NDArray[np.float64],
    padding: tuple[int, int],
    kind: np.dtype[Any],
    limits: tuple[int, int],
) -> NDArray[np.int64]:
    """Stored values, moved off the declared padding values to the side where their unrounded values lie.

    A measured pixel must not be taken for padding by who reads it next.
    """
    first, last = sorted(same_bits(value, kind) for value in padding)
    below, above = first - 1, last + 1
    if below < limits[0] and above > limits[1]:
        return values
    up = (exact > (first + last) / 2) & (above <= limits[1]) | (below < limits[0])
    hit = (values >= first) & (values <= last)
    return np.where(hit, np.where(up, above, below), values)


def at_border(mask: Mask) -> Mask:
    """The 4-connected regions of a mask that touch the image border."""
    labels, _ = ndimage.label(mask)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    kept = np.unique(border[border > 0])
    return np.asarray(np.isin(labels, kept))


def out_of_field(hu: HU) -> Mask | None:
    """The regions joined to a corner that hold exactly the corner's value, where that is the minimum; None = none.

    Same as labelling all regions of that value, at a tenth of the price: the runs from the left and right edge hold
    nearly everything outside a round field of view, and only what is joined to them is searched.
    """
    lowest = hu.min()
    if lowest > OUT_OF_FIELD or not any(hu[corner] == lowest for corner in CORNERS):
        return None
    mask = hu == lowest
    left = _edge_runs(mask)
    right = hu.shape[1] - _edge_runs(np.ascontiguousarray(mask[:, ::-1]))
    columns = np.arange(hu.shape[1], dtype=np.int16)
    found = (columns < left[:, np.newaxis]) | (columns >= right[:, np.newaxis])
    if np.count_nonzero(found) == np.count_nonzero(mask):
        return np.asarray(found)
    return _grow(found, mask)


def _edge_runs(mask: Mask) -> NDArray[np.int16]:
    """Length of each row's run from its first pixel, in the rows joined to the first or last one by such runs."""
    ends: NDArray[np.int16] = mask.argmin(axis=1).astype(np.int16)
    ends[(ends == 0) & mask[:, 0]] = mask.shape[1]
    empty = np.flatnonzero(ends == 0)
    if len(empty):
        ends[empty[0] : empty[-1]] = 0
    return ends


def _grow(found: Mask, mask: Mask) -> Mask:
    """All of ``mask`` that is 4-connected to ``found``, which is part of it."""
    rest, edge = np.zeros((2, mask.shape[0] + 2, mask.shape[1] + 2), dtype=np.bool_)
    np.not_equal(mask, found, out=rest[1:-1, 1:-1])
    edge[1:-1, 1:-1] = found
    flat, start, width = rest.ravel(), edge.ravel(), rest.shape[1]
    below, above = flat[width:] & start[:-width], flat[:-width] & start[width:]  # runs end in a row, so not sideways
    front = np.concatenate([np.flatnonzero(below) + width, np.flatnonzero(above)])
    for _ in range(GROWTH_STEPS):
        if not len(front):
            return np.asarray(mask & ~rest[1:-1, 1:-1])
        flat[front] = False
        near = np.concatenate([front - 1, front + 1, front - width, front + width])
        front = np.unique(near[flat[near]])
    labels, _ = ndimage.label(mask)
    return np.asarray(np.isin(labels, np.unique(labels[found])))


def valid_mask(hu: HU, padded: Mask | None, lossy: bool) -> Mask:
    """(y, x), True where the slice was reconstructed; ``padded``: what the header declares not to be."""
    if padded is None or not all(padded[corner] for corner in CORNERS):
        outside = out_of_field(hu)
        padded = outside if padded is None else padded if outside is None else padded | outside
    lowest = RINGING if lossy else UNPHYSICAL
    if hu.min() <= lowest:
        padded = hu <= lowest if padded is None else padded | (hu <= lowest)
    return np.ones(hu.shape, dtype=np.bool_) if padded is None else ~padded
