"""What patches are cut from: pairs of slices, held in memory as whole numbers where they must be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from lowdose.data.pack.index import Stored, whole_hu
from lowdose.data.pairs import PairedSlice
from lowdose.data.slice_context import centres, neighbourhoods
from lowdose.errors import InvalidSetting
from lowdose.image import HU

Window = tuple[slice, slice]

TISSUE = -500
"""HU: denser than air, lung and most of the noise in them."""


def tissue(image: Stored) -> int:
    """How many of a sample of the pixels of a (y, x) image in HU are denser than lung."""
    return int((image[::4, ::4] > TISSUE).sum())


class Cut(NamedTuple):
    """low, full: (2c+1, y, x) float32 HU of its own, a slice amid its neighbours.

    dose: low's as a fraction of full's; NaN = not known.
    """

    low: HU
    full: HU
    dose: float = float("nan")


class Cuttable(Protocol):
    """What a patch can be cut from."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def cutoff(self) -> float | None:
        """1/mm, where the Hann window of its kernel ends; None = not known."""
        ...

    def body(self, window: Window) -> int:
        """How many of a sample of the window's pixels are tissue."""
        ...

    def cut(self, window: Window, rng: np.random.Generator) -> Cut:
        """A window of both; what is random of them comes from ``rng``."""
        ...


class Slices(Protocol):
    """What patches are cut from, a number of slices; ``items`` says what is known of each."""

    items: list[PairedSlice]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Cuttable: ...


class Pair(NamedTuple):
    """low, full: (y, x) int16, whole HU."""

    low: Stored
    full: Stored


class Pairs(NamedTuple):
    """A pair amid its neighbours."""

    pairs: tuple[Pair, ...]

    @property
    def middle(self) -> Pair:
        return self.pairs[len(self.pairs) // 2]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.middle.low.shape

    @property
    def cutoff(self) -> None:
        return None

    def body(self, window: Window) -> int:
        return tissue(self.middle.full[window])

    def cut(self, window: Window, rng: np.random.Generator) -> Cut:
        low, full = (np.stack([image[window] for image in images]) for images in zip(*self.pairs, strict=True))
        return Cut(low.astype(np.float32), full.astype(np.float32))


class SliceCache:
    """Keeps decoded pairs as int16 up to ``budget`` bytes; those of a pack are left where they are.

    items: those of the given ones that are cut from, each amid ``context`` neighbours on each side.
    """

    def __init__(self, items: Sequence[PairedSlice], context: int = 0, budget: int = 1 << 30) -> None:
        if not items:
            raise InvalidSetting("no pairs to train on")
        around = neighbourhoods(items, context)
        self._all = list(items)
        self._around = [around[place] for place in centres(around)]
        self.items = [items[place] for place in centres(around)]
        self._budget = budget
        self._held: dict[int, Pair] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Pairs:
        """Slice ``index`` amid its neighbours, HU rounded to whole numbers."""
        return Pairs(tuple(self._pair(place) for place in self._around[index]))

    def _pair(self, index: int) -> Pair:
        stored = self._all[index].stored
        if stored is not None:
            return Pair(*stored())
        if index in self._held:
            return self._held[index]
        low, full = self._all[index].read()
        pair = Pair(whole_hu(low), whole_hu(full))
        if 2 * pair.low.nbytes <= self._budget:
            self._budget -= 2 * pair.low.nbytes
            self._held[index] = pair
        return pair
