"""Paired slices for training: found on disk, grouped by patient, decoded when first needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from lowdose.data.store import Pack
from lowdose.data.table import Stored, whole_hu
from lowdose.errors import InvalidSetting
from lowdose.io.pairing import PairedSeries
from lowdose.volume import AIR, HU, mean_side

Reader = Callable[[], tuple[HU, HU]]
Window = tuple[slice, slice]

TISSUE = -500
"""HU: denser than air, lung and most of the noise in them."""


@dataclass(frozen=True)
class PairedSlice:
    """One slice at two doses.

    patient: a number, the unit of every split. key: tells this pair from every other, and is the same in every run.
    read: () -> (low, full), (y, x) HU. pixel_mm and thickness_mm: None = not stated. case: public name in the Mayo
    collections. stored: () -> (low, full) as (y, x) int16 HU, views of mapped files of which only what is looked at
    is read; None = the pair has to be decoded.
    """

    patient: int
    key: str
    pixel_mm: float | None
    thickness_mm: float | None
    read: Reader
    case: str | None = None
    stored: Callable[[], tuple[Stored, Stored]] | None = None


def paired_slices(series: PairedSeries) -> list[PairedSlice]:
    """One item for every pair of slices; each decodes its two when asked, with air where either holds padding."""
    return [_paired_slice(series, pair) for pair in series.pairs]


def _paired_slice(series: PairedSeries, pair: tuple[int, int]) -> PairedSlice:
    low, full = series.low, series.full

    def read() -> tuple[HU, HU]:
        a, b = low.read(pair[0]), full.read(pair[1])
        valid = a.valid & b.valid
        return np.where(valid, a.hu, AIR), np.where(valid, b.hu, AIR)

    key = f"{low.uids.get('series', '')} {full.uids.get('series', '')} {pair}"
    pixel = mean_side(low.planes[pair[0]].pixel_mm)
    return PairedSlice(series.patient, key, pixel, low.acquisition.thickness_mm, read, series.case)


def packed_slices(pack: Pack, indices: Sequence[int], patient: int) -> list[PairedSlice]:
    """The pairs ``indices`` of a pack as items of one patient."""
    items = []
    for index in indices:
        row, found = pack.slices[index], pack.series[pack.slices[index].series]
        both = _Packed(pack, index)
        pixel = mean_side(row.pixel_mm)
        items.append(PairedSlice(patient, row.key, pixel, found.thickness_mm, both.read, found.case, both.stored))
    return items


@dataclass(frozen=True, slots=True)
class _Packed:
    pack: Pack
    index: int

    def read(self) -> tuple[HU, HU]:
        return self.pack.hu("low", self.index), self.pack.hu("full", self.index)

    def stored(self) -> tuple[Stored, Stored]:
        return self.pack.image("low", self.index), self.pack.image("full", self.index)


def tissue(image: Stored) -> int:
    """How many of a sample of the pixels of a (y, x) image in HU are denser than lung."""
    return int((image[::4, ::4] > TISSUE).sum())


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

    def cut(self, window: Window, rng: np.random.Generator) -> tuple[HU, HU]:
        """(low, full) of a window, each a float32 image of its own; what is random of them comes from ``rng``."""
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

    @property
    def shape(self) -> tuple[int, ...]:
        return self.low.shape

    @property
    def cutoff(self) -> None:
        return None

    def body(self, window: Window) -> int:
        return tissue(self.full[window])

    def cut(self, window: Window, rng: np.random.Generator) -> tuple[HU, HU]:
        return self.low[window].astype(np.float32), self.full[window].astype(np.float32)


class SliceCache:
    """Keeps decoded pairs as int16 up to ``budget`` bytes; those of a pack are left where they are."""

    def __init__(self, items: Sequence[PairedSlice], budget: int = 1 << 30) -> None:
        if not items:
            raise InvalidSetting("no pairs to train on")
        self.items = list(items)
        self._budget = budget
        self._held: dict[int, Pair] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Pair:
        """(low, full) of slice ``index``, HU rounded to whole numbers."""
        stored = self.items[index].stored
        if stored is not None:
            return Pair(*stored())
        if index in self._held:
            return self._held[index]
        low, full = self.items[index].read()
        pair = Pair(whole_hu(low), whole_hu(full))
        if 2 * pair.low.nbytes <= self._budget:
            self._budget -= 2 * pair.low.nbytes
            self._held[index] = pair
        return pair


class OfPatient(Protocol):
    """A slice that is known by its patient's number and a key of its own."""

    @property
    def patient(self) -> int: ...

    @property
    def key(self) -> str: ...


S = TypeVar("S", bound=OfPatient)


def split_by_patient(items: Sequence[S], held_out: int) -> tuple[list[S], list[S]]:
    """(training, validation): ``held_out`` whole patients, the last ones by number, never a part of one.

    Raises InvalidSetting when no patient would be left to train on.
    """
    patients = sorted({item.patient for item in items})
    if held_out < 0 or held_out >= len(patients):
        raise InvalidSetting(
            f"cannot hold out {held_out} of {len(patients)} patient(s): at least one must stay for training; "
            "give more patients, or --set validation_patients=0"
        )
    kept_back = set(patients[len(patients) - held_out :])
    train = [item for item in items if item.patient not in kept_back]
    return train, [item for item in items if item.patient in kept_back]


def fingerprint(train: Sequence[OfPatient], check: Sequence[OfPatient]) -> str:
    """SHA-256 over which slices are trained on and which are held out: a run may only be resumed on the same."""
    text = json.dumps([[f"{item.patient} {item.key}" for item in items] for items in (train, check)])
    return hashlib.sha256(text.encode()).hexdigest()
