"""Series below folders with their patients, slices spread over them, and models beside the classical filters."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from lowdose.data.series import Series, iterate_series
from lowdose.device import choose_device
from lowdose.evaluation.images import distinct_models
from lowdose.image import Slice
from lowdose.io.dicom.patients import number_patients
from lowdose.io.layouts import dose_of_name
from lowdose.models import load
from lowdose.models.classical import CLASSICAL
from lowdose.models.load import LoadedModel
from lowdose.simulation.calibration import ScanDescription


class PatientSeries(NamedTuple):
    """A series, the number of its patient, and a name that no other series has."""

    series: Series
    patient: int
    name: str


def load_models(names: Sequence[str], classical: bool = True) -> list[LoadedModel]:
    """Load models by name or path, each once, followed by the classical filters."""
    device = choose_device("auto")
    wanted = dict.fromkeys([*names, *(CLASSICAL if classical else ())])
    return distinct_models([load.load_by_name(name, device) for name in wanted])


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add --model to a command line."""
    parser.add_argument("--model", action="append", default=[], help="name or path; may be given several times")


def find_series(stack: ExitStack, roots: Sequence[Path], low: bool = True) -> list[PatientSeries]:
    """Open every CT series below the folders.

    With ``low`` false, series in folders that are named as low dose are left out.
    """
    warnings: list[str] = []
    known = [(root, series) for root in roots for series in iterate_series(root, warnings, stack)]
    if not low:
        known = [(root, series) for root, series in known if not _is_named_low_dose(series.place, root)]
    for warning in warnings:
        print(f"<!-- {warning} -->")
    numbers = number_patients([series for _, series in known])
    found: list[PatientSeries] = []
    for number, (_, series) in zip(numbers, known, strict=True):
        name = "/".join(series.place.parts[-2:])
        same = sum(other.name.split(" #")[0] == name for other in found)
        found.append(PatientSeries(series, number + 1, f"{name} #{same + 1}" if same else name))
    return found


def _is_named_low_dose(place: Path, root: Path) -> bool:
    doses = [dose_of_name(Path(part)) for part in place.relative_to(root).parts]
    return any(dose is not None and dose[0] == "low" for dose in doses)


def spread_indices(count: int) -> list[int]:
    """Return all numbers below ``count``, from the middle, in an order in which the first ones lie far apart."""
    bits = max(1, (count - 1).bit_length())
    order = sorted(range(1 << bits), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    return [(i + count // 2) % count for i in order if i < count]


def patients_in_turn(found: Sequence[PatientSeries]) -> Iterator[tuple[PatientSeries, int]]:
    """Yield (series, slice number): patients in turn, within a patient series in turn, slices spread."""
    by_patient: dict[int, list[Iterator[tuple[PatientSeries, int]]]] = {}
    for item in found:
        numbered = [(item, index) for index in spread_indices(len(item.series.planes))]
        by_patient.setdefault(item.patient, []).append(iter(numbered))
    for round_of_patients in zip_longest(*(_in_rounds(lists) for lists in by_patient.values())):
        yield from filter(None, round_of_patients)


def _in_rounds(lists: Sequence[Iterator[tuple[PatientSeries, int]]]) -> Iterator[tuple[PatientSeries, int]]:
    for group in zip_longest(*lists):
        yield from filter(None, group)


def describe_scan(item: PatientSeries) -> ScanDescription | None:
    """Return what dose simulation needs to know of a series; None where no slice states its pixel size."""
    series = item.series
    pixel = next((plane.pixel_mm for plane in series.planes if plane.pixel_mm), None)
    if pixel is None:
        return None
    mas = tuple(plane.mas for plane in series.planes)
    thickness = series.acquisition.thickness_mm
    return ScanDescription(
        item.name, series.acquisition, thickness, mas, pixel, lambda index: series.read(index).in_air
    )


def position_text(item: Slice) -> str:
    """Return the position of a slice as text."""
    return "no position" if item.position is None else f"z {item.position:g} mm"
