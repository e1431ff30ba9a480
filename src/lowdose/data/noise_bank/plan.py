"""What a noise bank is for, and the folder made for it before anything is built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from lowdose.errors import IncompatiblePack, OutputRefused
from lowdose.io.atomic import output_errors
from lowdose.io.atomic_replace import replace_file

FORMAT, VERSION = "lowdose-noise-bank", 1
PLAN = "plan.json"
FULL_DOSE_PLANE = 0
"""The first plane of a slice: full dose. Then for each level its bias and its realisations."""

Shape = tuple[int, int]


def dose_levels(low: float = 0.05, high: float = 0.5) -> tuple[float, ...]:
    """Dose fractions of which realisations are kept. The middle one is for starved rays.

    Few photons, of which none may be left, make more noise than first-order variances say. Then two levels would be up
    to 17 % off between them, three are within 5 % (a slice with arms beside the body, of 30 photons at full dose).
    """
    low = min(low, 0.05)
    return low, (low * high) ** 0.5, high


@dataclass(frozen=True)
class Plan:
    """What a bank is for. slices: matrix size of each by its key. realisations: of each slice and level.

    calibration: by what rule scanner, kernel and exposure of a slice are chosen. doses: the levels, the lowest first.
    """

    slices: Mapping[str, Shape]
    realisations: int
    calibration: str
    doses: tuple[float, ...] = dose_levels()

    @property
    def planes(self) -> int:
        return 1 + len(self.doses) * (1 + self.realisations)

    def array_shape(self, size: Shape) -> tuple[int, int, int, int]:
        """(slices, planes, y, x) of the array for one matrix size."""
        return sum(shape == size for shape in self.slices.values()), self.planes, *size

    @cached_property
    def rows(self) -> dict[str, int]:
        """Where each slice lies in the array of its matrix size."""
        counts: dict[Shape, int] = {}
        rows = {}
        for key, shape in self.slices.items():
            rows[key] = counts.get(shape, 0)
            counts[shape] = rows[key] + 1
        return rows


def prepare_folder(folder: Path, plan: Plan) -> None:
    """Makes the folder of a bank, or accepts the one that is there when it is for these slices (or more of them).

    Raises IncompatiblePack when it is for others, OutputRefused when it cannot be made.
    """
    if (folder / PLAN).exists():
        _check_same(folder, plan, read_plan(folder))
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputRefused(f"{folder}: is no noise bank and not empty; name another folder for the bank")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sizes = sorted(set(plan.slices.values()))
    needed = sum(2 * int(np.prod(plan.array_shape(size))) for size in sizes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputRefused(
            f"{folder}: the noise of {len(plan.slices)} slices takes {needed / 2**30:.1f} GiB, there are "
            f"{free / 2**30:.1f} GiB; name a folder with more room, or use fewer with --set bank_slices=N"
        )
    for size in sizes:
        _reserve(folder, size, plan)
    replace_file(folder / PLAN, plan_text(plan).encode())  # last: a folder with a plan is complete


def _check_same(folder: Path, wanted: Plan, there: Plan) -> None:
    told = [
        f"{name}: {getattr(there, name)}, not {getattr(wanted, name)}"
        for name in ("realisations", "calibration", "doses")
        if getattr(there, name) != getattr(wanted, name)
    ]
    strange = sum(there.slices.get(key) != shape for key, shape in wanted.slices.items())
    told += [f"{strange} of {len(wanted.slices)} slices are not in it"] if strange else []
    if told:
        raise IncompatiblePack(
            f"{folder}: is a noise bank for something else ({'; '.join(told)}); name another folder, or remove this one"
        )


def _reserve(folder: Path, size: Shape, plan: Plan) -> None:
    """An array of the final size, of which nothing is stored yet where the file system knows holes."""
    with output_errors(folder), (folder / array_name(size)).open("wb") as file:
        shape = plan.array_shape(size)
        npy.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 2 * int(np.prod(shape)))


def array_name(size: Shape) -> str:
    return f"{size[0]}x{size[1]}.npy"


def plan_text(plan: Plan) -> str:
    """The content of ``plan.json``."""
    facts = {"realisations": plan.realisations, "calibration": plan.calibration, "doses": plan.doses}
    return json.dumps({"format": FORMAT, "version": VERSION, **facts, "slices": plan.slices})


def read_plan(folder: Path) -> Plan:
    """Raises IncompatiblePack."""
    path = folder / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise ValueError(f"{content['format']} {content['version']}, not {FORMAT} {VERSION}")
        slices = {str(key): (int(ny), int(nx)) for key, (ny, nx) in content["slices"].items()}
        doses = tuple(float(dose) for dose in content["doses"])
        if len(doses) < 2 or not 0 < doses[0] < doses[-1] < 1 or list(doses) != sorted(set(doses)):
            raise ValueError(f"doses {doses}")
        return Plan(slices, int(content["realisations"]), str(content["calibration"]), doses)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IncompatiblePack(
            f"{path}: is no plan of a noise bank ({error}); remove the folder, or name another one"
        ) from error
