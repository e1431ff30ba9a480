"""Series below folders with their patients, slices spread over them, and models by name beside classical filters."""

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


class Found(NamedTuple):
    """A series; its patient's number, and a name that no other series has."""

    series: Series
    patient: int
    name: str


def ready(names: Sequence[str], classical: bool = True) -> list[LoadedModel]:
    """Models by name or path, each once, and after them the classical filters."""
    device = choose_device("auto")
    asked = dict.fromkeys([*names, *(CLASSICAL if classical else ())])
    return distinct_models([load.load_by_name(name, device) for name in asked])


def add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", default=[], help="name or path; may be given several times")


def below(stack: ExitStack, roots: Sequence[Path], low: bool = True) -> list[Found]:
    """Every CT series; with ``low`` false none in a folder that is named as one of low dose."""
    warnings: list[str] = []
    known = [(root, series) for root in roots for series in iterate_series(root, warnings, stack)]
    if not low:
        known = [(root, series) for root, series in known if not _named_low(series.place, root)]
    for warning in warnings:
        print(f"<!-- {warning} -->")
    hyperparameters = number_patients([series for _, series in known])
    found: list[Found] = []
    for number, (_, series) in zip(hyperparameters, known, strict=True):
        name = "/".join(series.place.parts[-2:])
        same = sum(other.name.split(" #")[0] == name for other in found)
        found.append(Found(series, number + 1, f"{name} #{same + 1}" if same else name))
    return found


def _named_low(place: Path, root: Path) -> bool:
    doses = [dose_of_name(Path(part)) for part in place.relative_to(root).parts]
    return any(dose is not None and dose[0] == "low" for dose in doses)


def spread(count: int) -> list[int]:
    """All numbers below ``count``, from the middle, so that those first in the list lie far apart."""
    bits = max(1, (count - 1).bit_length())
    order = sorted(range(1 << bits), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    return [(i + count // 2) % count for i in order if i < count]


def in_turn(found: Sequence[Found]) -> Iterator[tuple[Found, int]]:
    """(series, number of a slice): every patient in turn, within a patient every series in turn, slices spread."""
    own: dict[int, list[Iterator[tuple[Found, int]]]] = {}
    for item in found:
        numbered = [(item, index) for index in spread(len(item.series.planes))]
        own.setdefault(item.patient, []).append(iter(numbered))
    for round_of_patients in zip_longest(*(_alternating(lists) for lists in own.values())):
        yield from filter(None, round_of_patients)


def _alternating(lists: Sequence[Iterator[tuple[Found, int]]]) -> Iterator[tuple[Found, int]]:
    for group in zip_longest(*lists):
        yield from filter(None, group)


def scan(item: Found) -> ScanDescription | None:
    """What dose simulation asks of a series; None where no slice states its pixel size."""
    series = item.series
    pixel = next((plane.pixel_mm for plane in series.planes if plane.pixel_mm), None)
    if pixel is None:
        return None
    mas = tuple(plane.mas for plane in series.planes)
    thickness = series.acquisition.thickness_mm
    return ScanDescription(
        item.name, series.acquisition, thickness, mas, pixel, lambda index: series.read(index).in_air
    )


def at(item: Slice) -> str:
    return "no position" if item.position is None else f"z {item.position:g} mm"
