"""Sources of training patches: paired slices with their neighbours, cached as int16 HU where they must be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from lowdose.data.pack.index import Int16Image, round_hu
from lowdose.data.pairs import PairedSlice
from lowdose.data.slice_context import context_indices, has_all_neighbours, trainable_indices
from lowdose.errors import InvalidSetting
from lowdose.image import HU

Region = tuple[slice, slice]

TISSUE_HU = -500
"""HU above which a pixel counts as tissue: denser than air, lung and most of the noise in them."""


def count_tissue_pixels(image: Int16Image) -> int:
    """Count the pixels above -500 HU in a (y, x) image in HU, subsampled by four along each axis."""
    return int((image[::4, ::4] > TISSUE_HU).sum())


class CroppedPair(NamedTuple):
    """Window of a low-dose and a full-dose slice, cropped together with their neighbouring slices.

    The arrays share memory with nothing else, so the receiver may write to them.

    Attributes
    ----------
    low, full : (2c+1, y, x) float32 HU
        The slice in the middle of its c neighbours on each side.
    dose : float
        Dose of ``low`` as a fraction of the dose of ``full``; NaN = unknown.
    """

    low: HU
    full: HU
    dose: float = float("nan")


class PatchSource(Protocol):
    """Slice pair from which patches can be cropped."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x) size in pixels."""
        ...

    @property
    def cutoff(self) -> float | None:
        """Cut-off frequency (1/mm) of the Hann window of the reconstruction kernel; None = unknown."""
        ...

    def tissue_pixels(self, window: Region) -> int:
        """Count the tissue pixels among the subsampled pixels of a window."""
        ...

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """Crop a window from both images; any randomness, such as simulated noise, is drawn from ``rng``."""
        ...


class PatchSources(Protocol):
    """Sequence of patch sources.

    Attributes
    ----------
    items : list of PairedSlice
        Metadata of each source, in the same order.
    complete : list of int
        Indices of the sources that have all their neighbours; all of them where there is no context.
    """

    items: list[PairedSlice]
    complete: list[int]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> PatchSource: ...


class StoredPair(NamedTuple):
    """Low-dose and full-dose image of one slice, each (y, x) int16 in whole HU."""

    low: Int16Image
    full: Int16Image


class PairInContext(NamedTuple):
    """Slice pair with its neighbours on both sides, in order along the stack; itself in the middle."""

    pairs: tuple[StoredPair, ...]

    @property
    def middle(self) -> StoredPair:
        """The pair without its neighbours."""
        return self.pairs[len(self.pairs) // 2]

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x) size in pixels."""
        return self.middle.low.shape

    @property
    def cutoff(self) -> None:
        """None: the cut-off frequency of the reconstruction kernel is unknown."""
        return None

    def tissue_pixels(self, window: Region) -> int:
        """Count the tissue pixels among the subsampled pixels of a window of the full-dose image."""
        return count_tissue_pixels(self.middle.full[window])

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """Crop a window from the pair and its neighbours; nothing here is random, and the dose is unknown."""
        low, full = (np.stack([image[window] for image in images]) for images in zip(*self.pairs, strict=True))
        return CroppedPair(low.astype(np.float32), full.astype(np.float32))


class SliceCache:
    """Patch sources that keep decoded pairs in memory as int16, up to ``budget`` bytes.

    Pairs of a pack are not copied: they are memory-mapped already. Raises InvalidSetting when no items are given.

    Attributes
    ----------
    items : list of PairedSlice
        Those of the given items that patches are cropped from (see ``trainable_indices``), each with ``context``
        neighbours on each side.
    complete : list of int
        Indices of those with all their neighbours.
    """

    def __init__(self, items: Sequence[PairedSlice], context: int = 0, budget: int = 1 << 30) -> None:
        if not items:
            raise InvalidSetting("no pairs to train on")
        contexts = context_indices(items, context)
        self._all_items = list(items)
        self._contexts = [contexts[index] for index in trainable_indices(contexts)]
        self.items = [items[index] for index in trainable_indices(contexts)]
        self.complete = [place for place, around in enumerate(self._contexts) if has_all_neighbours(around)]
        self._budget = budget
        self._cache: dict[int, StoredPair] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> PairInContext:
        """Return slice pair ``index`` with its neighbours, rounded to whole HU."""
        return PairInContext(tuple(self._pair(neighbour) for neighbour in self._contexts[index]))

    def _pair(self, index: int) -> StoredPair:
        stored = self._all_items[index].stored
        if stored is not None:
            return StoredPair(*stored())
        if index in self._cache:
            return self._cache[index]
        low, full = self._all_items[index].read()
        pair = StoredPair(round_hu(low), round_hu(full))
        if 2 * pair.low.nbytes <= self._budget:
            self._budget -= 2 * pair.low.nbytes
            self._cache[index] = pair
        return pair
