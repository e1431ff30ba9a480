"""What patches are cut from: pairs of slices, held in memory as whole numbers where they must be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from lowdose.data.pack.index import Int16Image, round_hu
from lowdose.data.pairs import PairedSlice
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.errors import InvalidSetting
from lowdose.image import HU

Region = tuple[slice, slice]

TISSUE_HU = -500
"""HU: denser than air, lung and most of the noise in them."""


def count_tissue_pixels(image: Int16Image) -> int:
    """How many of a sample of the pixels of a (y, x) image in HU are denser than lung."""
    return int((image[::4, ::4] > TISSUE_HU).sum())


class CroppedPair(NamedTuple):
    """low, full: (2c+1, y, x) float32 HU of its own, a slice amid its neighbours.

    dose: low's as a fraction of full's; NaN = not known.
    """

    low: HU
    full: HU
    dose: float = float("nan")


class PatchSource(Protocol):
    """What a patch can be cut from."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def cutoff(self) -> float | None:
        """1/mm, where the Hann window of its kernel ends; None = not known."""
        ...

    def tissue_pixels(self, window: Region) -> int:
        """How many of a sample of the window's pixels are tissue."""
        ...

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        """A window of both; what is random of them comes from ``rng``."""
        ...


class PatchSources(Protocol):
    """What patches are cut from, a number of slices; ``items`` says what is known of each."""

    items: list[PairedSlice]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> PatchSource: ...


class StoredPair(NamedTuple):
    """low, full: (y, x) int16, whole HU."""

    low: Int16Image
    full: Int16Image


class PairInContext(NamedTuple):
    """A pair amid its neighbours."""

    pairs: tuple[StoredPair, ...]

    @property
    def middle(self) -> StoredPair:
        return self.pairs[len(self.pairs) // 2]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.middle.low.shape

    @property
    def cutoff(self) -> None:
        return None

    def tissue_pixels(self, window: Region) -> int:
        return count_tissue_pixels(self.middle.full[window])

    def crop(self, window: Region, rng: np.random.Generator) -> CroppedPair:
        low, full = (np.stack([image[window] for image in images]) for images in zip(*self.pairs, strict=True))
        return CroppedPair(low.astype(np.float32), full.astype(np.float32))


class SliceCache:
    """Keeps decoded pairs as int16 up to ``budget`` bytes; those of a pack are left where they are.

    items: those of the given ones that are cut from, each amid ``context`` neighbours on each side.
    """

    def __init__(self, items: Sequence[PairedSlice], context: int = 0, budget: int = 1 << 30) -> None:
        if not items:
            raise InvalidSetting("no pairs to train on")
        around = context_indices(items, context)
        self._all = list(items)
        self._around = [around[place] for place in trainable_indices(around)]
        self.items = [items[place] for place in trainable_indices(around)]
        self._budget = budget
        self._held: dict[int, StoredPair] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> PairInContext:
        """Slice ``index`` amid its neighbours, HU rounded to whole numbers."""
        return PairInContext(tuple(self._pair(place) for place in self._around[index]))

    def _pair(self, index: int) -> StoredPair:
        stored = self._all[index].stored
        if stored is not None:
            return StoredPair(*stored())
        if index in self._held:
            return self._held[index]
        low, full = self._all[index].read()
        pair = StoredPair(round_hu(low), round_hu(full))
        if 2 * pair.low.nbytes <= self._budget:
            self._budget -= 2 * pair.low.nbytes
            self._held[index] = pair
        return pair
