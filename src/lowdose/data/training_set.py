"""Opening of the folders and packs that a training run reads its slices from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lowdose.data.apply_split import apply_split
from lowdose.data.findings import with_findings
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.pack.index import SeriesRow
from lowdose.data.pack.reader import Pack, is_pack
from lowdose.data.pairs import PairedSlice, packed_slices, paired_slices
from lowdose.data.simulated import simulated_slices, single_slice
from lowdose.data.splits.published import find_split
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.io.dicom.patients import number_patients
from lowdose.io.findings.reading import read_findings
from lowdose.io.orientation import FOR_TRAINING, not_axial
from lowdose.io.pairing import PairedSeries, open_pairs, search_pairs

Found = tuple[list[PairedSlice], list[str]]
"""Slices, and warnings about what was left out."""
Find = Callable[[ExitStack, Sequence[Path]], Found]


@dataclass(frozen=True)
class TrainingSet:
    """Slices of a training run, including those held out for validation.

    Attributes
    ----------
    items : list of PairedSlice
        All slices.
    warnings : list of str
        What was left out, and other remarks on the data.
    validation_patients : int or None
        Number of patients, the last by number, that the split holds out for validation; None = there is no split, and
        the recipe decides.
    labels : tuple of str
        What the labels of annotated findings mean, from 1.
    """

    items: list[PairedSlice]
    warnings: list[str]
    validation_patients: int | None
    labels: tuple[str, ...] = ()


def find_pairs(stack: ExitStack, roots: Sequence[Path]) -> Found:
    """Find pairs of scans below folders and in packs; files stay open for as long as ``stack`` lives."""
    warnings: list[str] = []
    known: list[PairedSeries | SeriesRow] = []
    makers: list[Callable[[int], list[PairedSlice]]] = []
    for root in roots:
        if is_pack(root):
            pack = Pack(root)
            known += pack.series
            makers += [partial(packed_slices, pack, indices) for indices in pack.by_series("both")]
            if not any(pack.by_series("both")):
                raise NothingToRead(f"{root}: contains single slices but no pairs; pack it with --contents pairs")
            continue
        found = search_pairs(root)
        warnings += found.warnings
        for series in open_pairs(stack, [(pair.name, pair.low, pair.full) for pair in found.pairs]):
            doubts = not_axial(series.low.planes, FOR_TRAINING)
            warnings += [f"{series.name}: {text}" for text in (*series.warnings, *doubts)]
            known.append(series)
            makers.append(partial(_patient_slices, series))
    numbers = number_patients(known)
    return [item for make, number in zip(makers, numbers, strict=True) for item in make(number + 1)], warnings


def find_normal_dose(stack: ExitStack, roots: Sequence[Path]) -> Found:
    """Find slices of normal dose, as ``SimulatedSlice``."""
    normal, warnings = normal_dose_slices(stack, roots)
    items, left_out = simulated_slices(normal)
    return list(items), warnings + left_out


def find_single_slices(stack: ExitStack, roots: Sequence[Path]) -> Found:
    """Find slices of any dose, each as a pair with itself."""
    found, warnings = normal_dose_slices(stack, roots, any_dose=True)
    return [single_slice(item) for item in found], warnings


def open_training_set(
    stack: ExitStack,
    roots: Sequence[Path],
    split: str | None = None,
    find: Find = find_pairs,
    findings: Sequence[Path] = (),
) -> TrainingSet:
    """Open all slices below the given folders and in the given packs, and number the patients over all of them.

    Files stay open for as long as ``stack`` lives. split: name of a published split to apply. find: which slices to
    open. findings: files or folders of annotated lesions, whose boxes the slices get. Raises any of the input errors of
    ``lowdose.errors``.
    """
    chosen = None if split is None else find_split(split)
    found_findings = [read_findings(path) for path in findings]  # first, since finding the slices may take long
    items, warnings = find(stack, roots)
    labels: tuple[str, ...] = ()
    if found_findings:
        items, labels, findings_warnings = with_findings(items, found_findings)
        warnings = warnings + findings_warnings
    if chosen is None:
        return TrainingSet(items, warnings, None, labels)
    chosen_items, held_out, split_warnings = apply_split(items, chosen)
    lost = _findings_left_out(chosen.name, items, chosen_items, findings)
    return TrainingSet(chosen_items, [*warnings, *split_warnings, *lost], held_out, labels)


def _findings_left_out(
    split: str, before: Sequence[PairedSlice], after: Sequence[PairedSlice], findings: Sequence[Path]
) -> list[str]:
    """Return a warning on findings in slices that a split leaves out. Raises InvalidSetting where no other is left."""
    all_boxes, left = (sum(len(item.boxes) for item in items) for items in (before, after))
    if all_boxes and not left:
        raise InvalidSetting(
            f"--findings {', '.join(map(str, findings))}: all lie in slices that --split {split} leaves out; give "
            "findings of the patients that it trains on"
        )
    if left == all_boxes:
        return []
    return [f"{split}: {all_boxes - left} of {all_boxes} boxes of findings lie in slices that it leaves out"]


def _patient_slices(series: PairedSeries, patient: int) -> list[PairedSlice]:
    return paired_slices(replace(series, patient=patient))
