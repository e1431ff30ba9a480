"""From folders and packs to the items of a training run: the one place where a run finds its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.pack.index import SeriesRow
from lowdose.data.pack.reader import Pack, is_pack
from lowdose.data.pairs import PairedSlice, packed_slices, paired_slices
from lowdose.data.simulated import simulated_slices
from lowdose.data.splits.published import apply_split, find_split
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.io.dicom.patients import number_patients
from lowdose.io.pairing import PairedSeries, open_pairs, search_pairs

PAIRINGS = ("folders", "simulated")


@dataclass(frozen=True)
class TrainingSet:
    """Items to train on and what to know of them. validation_patients: how many patients, the last by number, the
    split holds out for validation; None = there is no split, the recipe decides.
    """

    items: list[PairedSlice]
    warnings: list[str]
    validation_patients: int | None


def open_training_set(
    stack: ExitStack, roots: Sequence[Path], split: str | None = None, pairing: str = "folders"
) -> TrainingSet:
    """What lies below the roots or in packs, open for as long as ``stack`` lives; patients numbered over all of it.

    pairing: 'folders' finds pairs of scans, 'simulated' single slices of normal dose, as ``SimulatedSlice``. Raises any
    of the input errors of ``lowdose.errors``.
    """
    if pairing not in PAIRINGS:
        raise InvalidSetting(f"--pairing {pairing}: must be one of {', '.join(PAIRINGS)}")
    chosen = None if split is None else find_split(split)
    items, warnings = _found_pairs(stack, roots) if pairing == "folders" else _found_normal(stack, roots)
    if chosen is None:
        return TrainingSet(items, warnings, None)
    items, held_out, told = apply_split(items, chosen)
    return TrainingSet(items, warnings + told, held_out)


def _found_pairs(stack: ExitStack, roots: Sequence[Path]) -> tuple[list[PairedSlice], list[str]]:
    warnings: list[str] = []
    known: list[PairedSeries | SeriesRow] = []
    makers: list[Callable[[int], list[PairedSlice]]] = []
    for root in roots:
        if is_pack(root):
            pack = Pack(root)
            known += pack.series
            makers += [partial(packed_slices, pack, indices) for indices in pack.by_series("both")]
            if not any(pack.by_series("both")):
                raise NothingToRead(f"{root}: holds single slices, no pairs; pack pairs with --pairing folders")
            continue
        found = search_pairs(root)
        warnings += found.warnings
        for series in open_pairs(stack, [(pair.name, pair.low, pair.full) for pair in found.pairs]):
            warnings += [f"{series.name}: {text}" for text in series.warnings]
            known.append(series)
            makers.append(partial(_of, series))
    numbers = number_patients(known)
    return [item for make, number in zip(makers, numbers, strict=True) for item in make(number + 1)], warnings


def _found_normal(stack: ExitStack, roots: Sequence[Path]) -> tuple[list[PairedSlice], list[str]]:
    normal, warnings = normal_dose_slices(stack, roots)
    items, told = simulated_slices(normal)
    return list(items), warnings + told


def _of(series: PairedSeries, patient: int) -> list[PairedSlice]:
    return paired_slices(replace(series, patient=patient))
