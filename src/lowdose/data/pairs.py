"""Paired slices for training: found on disk, grouped by patient, decoded when first needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from lowdose.data.pack.index import Int16Image
from lowdose.data.pack.reader import Pack
from lowdose.data.slice_context import StackPosition, packed_stack_positions, stack_positions
from lowdose.errors import InvalidSetting
from lowdose.image import AIR, HU, mean_side
from lowdose.io.pairing import PairedSeries

Reader = Callable[[], tuple[HU, HU]]


@dataclass(frozen=True)
class PairedSlice:
    """One slice at two doses.

    patient: a number, the unit of every split. key: tells this pair from every other, and is the same in every run.
    read: () -> (low, full), (y, x) HU. pixel_mm and thickness_mm: None = not stated. case: public name in the Mayo
    collections. stored: () -> (low, full) as (y, x) int16 HU, views of mapped files of which only what is looked at
    is read; None = the pair has to be decoded. stacked: its place among its neighbours.
    """

    patient: int
    key: str
    pixel_mm: float | None
    thickness_mm: float | None
    read: Reader
    case: str | None = None
    stored: Callable[[], tuple[Int16Image, Int16Image]] | None = None
    stack_position: StackPosition | None = None


def paired_slices(series: PairedSeries) -> list[PairedSlice]:
    """One item for every pair of slices; each decodes its two when asked, with air where either holds padding."""
    low = series.low
    places = stack_positions(
        f"{low.path}", [low.planes[index] for index, _ in series.pairs], low.acquisition.thickness_mm
    )
    return [_paired_slice(series, pair, place) for pair, place in zip(series.pairs, places, strict=True)]


def _paired_slice(series: PairedSeries, pair: tuple[int, int], place: StackPosition) -> PairedSlice:
    low, full = series.low, series.full

    def read() -> tuple[HU, HU]:
        a, b = low.read(pair[0]), full.read(pair[1])
        valid = a.valid & b.valid
        return np.where(valid, a.hu, AIR), np.where(valid, b.hu, AIR)

    key = f"{low.uids.get('series', '')} {full.uids.get('series', '')} {pair}"
    pixel = mean_side(low.planes[pair[0]].pixel_mm)
    thickness = low.acquisition.thickness_mm
    return PairedSlice(series.patient, key, pixel, thickness, read, series.case, stack_position=place)


def packed_slices(pack: Pack, indices: Sequence[int], patient: int) -> list[PairedSlice]:
    """The pairs ``indices`` of a pack as items of one patient."""
    items = []
    for index, place in zip(indices, packed_stack_positions(pack, indices), strict=True):
        row, found = pack.slices[index], pack.series[pack.slices[index].series]
        both = _Packed(pack, index)
        pixel = mean_side(row.pixel_mm)
        facts = (row.key, pixel, found.thickness_mm, both.read, found.case, both.stored)
        items.append(PairedSlice(patient, *facts, place))
    return items


@dataclass(frozen=True, slots=True)
class _Packed:
    pack: Pack
    index: int

    def read(self) -> tuple[HU, HU]:
        return self.pack.hu("low", self.index), self.pack.hu("full", self.index)

    def stored(self) -> tuple[Int16Image, Int16Image]:
        return self.pack.image("low", self.index), self.pack.image("full", self.index)


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
