"""Slice pairs for training, grouped by patient and decoded when first read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from lowdose.boxes import Box
from lowdose.data.pack.index import Int16Image
from lowdose.data.pack.reader import Pack
from lowdose.data.slice_context import StackPosition, packed_stack_positions, stack_positions
from lowdose.errors import InvalidSetting
from lowdose.image import AIR, HU, mean_side
from lowdose.io.findings.placement import SeriesSlices, SlicePlace, series_slices
from lowdose.io.messages import counted
from lowdose.io.pairing import PairedSeries

Reader = Callable[[], tuple[HU, HU]]


@dataclass(frozen=True)
class PairedSlice:
    """One slice at two doses.

    Attributes
    ----------
    patient : int
        Patient number, the unit of every split.
    key : str
        Unique identifier of this pair, the same in every run.
    pixel_mm : mm or None
        Pixel size; None = not stated.
    thickness_mm : mm or None
        Slice thickness; None = not stated.
    read : callable
        () -> (low, full), each (y, x) HU.
    case : str or None
        Public case name in the Mayo collections.
    stored : callable or None
        () -> (low, full), each (y, x) int16 HU, as views of memory-mapped files: only the pixels that are accessed are
        read. None = the pair has to be decoded.
    stack_position : StackPosition or None
        Position among the neighbouring slices; None = no neighbours.
    shape : (int, int) or None
        Rows and columns; None = not known before the slice is read.
    boxes : tuple of (Box, int)
        Annotated findings: box in pixels of the slice (``lowdose.boxes.Box``), and label.
    places : tuple of SlicePlace
        The slices that it was made of, full dose first, by which findings name it; empty for those of packs.
    """

    patient: int
    key: str
    pixel_mm: float | None
    thickness_mm: float | None
    read: Reader
    case: str | None = None
    stored: Callable[[], tuple[Int16Image, Int16Image]] | None = None
    stack_position: StackPosition | None = None
    shape: tuple[int, int] | None = None
    boxes: tuple[tuple[Box, int], ...] = ()
    places: tuple[SlicePlace, ...] = ()


def paired_slices(series: PairedSeries) -> list[PairedSlice]:
    """Return one item per slice pair; its images are decoded on reading, with air wherever either holds padding."""
    low = series.low
    places = stack_positions(
        f"{low.path}", [low.planes[index] for index, _ in series.pairs], low.acquisition.thickness_mm
    )
    sides = series_slices(series.full), series_slices(low)
    return [_paired_slice(series, pair, place, sides) for pair, place in zip(series.pairs, places, strict=True)]


def _paired_slice(
    series: PairedSeries, pair: tuple[int, int], place: StackPosition, sides: tuple[SeriesSlices, SeriesSlices]
) -> PairedSlice:
    low, full = series.low, series.full

    def read() -> tuple[HU, HU]:
        a, b = low.read(pair[0]), full.read(pair[1])
        valid = a.valid & b.valid
        return np.where(valid, a.hu, AIR), np.where(valid, b.hu, AIR)

    key = f"{low.uids.get('series', '')} {full.uids.get('series', '')} {pair}"
    pixel = mean_side(low.planes[pair[0]].pixel_mm)
    thickness = low.acquisition.thickness_mm
    return PairedSlice(
        series.patient, key, pixel, thickness, read, series.case, None, place, low.planes[pair[0]].shape,
        places=(SlicePlace(sides[0], pair[1]), SlicePlace(sides[1], pair[0])),
    )  # fmt: skip


def packed_slices(pack: Pack, indices: Sequence[int], patient: int) -> list[PairedSlice]:
    """Return the pairs ``indices`` of a pack as items of one patient."""
    items = []
    for index, place in zip(indices, packed_stack_positions(pack, indices), strict=True):
        row, series = pack.slices[index], pack.series[pack.slices[index].series]
        pair = _PackedPair(pack, index)
        pixel = mean_side(row.pixel_mm)
        fields = (row.key, pixel, series.thickness_mm, pair.read, series.case, pair.stored)
        items.append(PairedSlice(patient, *fields, place, row.shape))
    return items


@dataclass(frozen=True, slots=True)
class _PackedPair:
    """Reader of one slice pair of a pack, which can be sent to another process."""

    pack: Pack
    index: int

    def read(self) -> tuple[HU, HU]:
        return self.pack.hu("low", self.index), self.pack.hu("full", self.index)

    def stored(self) -> tuple[Int16Image, Int16Image]:
        return self.pack.image("low", self.index), self.pack.image("full", self.index)


class OfPatient(Protocol):
    """Slice with a patient number and a unique key."""

    @property
    def patient(self) -> int:
        """Patient number."""
        ...

    @property
    def key(self) -> str:
        """Unique identifier of the slice, the same in every run."""
        ...


S = TypeVar("S", bound=OfPatient)


def split_by_patient(items: Sequence[S], held_out: int) -> tuple[list[S], list[S]]:
    """Split slices by patient into (training, validation).

    The last ``held_out`` patients by number go to validation, each with all of their slices. Raises InvalidSetting when
    no patient would be left to train on.
    """
    patients = sorted({item.patient for item in items})
    if held_out < 0 or held_out >= len(patients):
        raise InvalidSetting(
            f"cannot hold out {held_out} of {counted(len(patients), 'patient')}: at least one must stay for training; "
            "give more patients, or --set validation_patients=0"
        )
    validation_patients = set(patients[len(patients) - held_out :])
    train = [item for item in items if item.patient not in validation_patients]
    return train, [item for item in items if item.patient in validation_patients]


def fingerprint(train: Sequence[OfPatient], check: Sequence[OfPatient]) -> str:
    """Return the SHA-256 of the training and validation slices: a run may be resumed only on the same ones."""
    text = json.dumps([[f"{item.patient} {item.key}" for item in items] for items in (train, check)])
    return hashlib.sha256(text.encode()).hexdigest()


def boxes_fingerprint(items: Sequence[PairedSlice]) -> dict[str, str]:
    """Return the SHA-256 of the annotated findings by the name 'findings', or nothing where there are none."""
    boxes = [[item.key, item.boxes] for item in items if item.boxes]
    return {"findings": hashlib.sha256(json.dumps(boxes).encode()).hexdigest()} if boxes else {}
