"""Plan of a noise bank, and the folder prepared for it before any slice is built."""

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
from lowdose.io.locked_folder import holds_more_than_lock

FORMAT, VERSION = "lowdose-noise-bank", 1
PLAN = "plan.json"
FULL_DOSE_PLANE = 0
"""Index of the full-dose plane of a slice. For each dose level, its bias and its noise realisations follow."""

Shape = tuple[int, int]


def dose_levels(low: float = 0.05, high: float = 0.5) -> tuple[float, ...]:
    """Return the dose fractions for which noise realisations are kept; the middle one is for photon starvation.

    Where few or no photons are left, there is more noise than first-order variances predict. Noise interpolated between
    two levels would then be off by up to 17 %; with three levels it is within 5 % (measured on a slice with arms beside
    the body, with 30 photons at full dose).
    """
    low = min(low, 0.05)
    return low, (low * high) ** 0.5, high


@dataclass(frozen=True)
class Plan:
    """Plan of a noise bank.

    Attributes
    ----------
    slices : mapping of str to (int, int)
        Matrix size of each slice by its key.
    realisations : int
        Number of noise realisations of each slice and dose level.
    calibration : str
        Rule by which scanner, kernel and exposure of a slice are chosen.
    doses : tuple of float
        Dose levels (fractions of full dose), in ascending order.
    """

    slices: Mapping[str, Shape]
    realisations: int
    calibration: str
    doses: tuple[float, ...] = dose_levels()

    @property
    def planes(self) -> int:
        """Number of planes of a slice."""
        return 1 + len(self.doses) * (1 + self.realisations)

    def array_shape(self, size: Shape) -> tuple[int, int, int, int]:
        """Return the shape (slices, planes, y, x) of the array for one matrix size."""
        return sum(shape == size for shape in self.slices.values()), self.planes, *size

    @cached_property
    def rows(self) -> dict[str, int]:
        """Index of each slice in the array of its matrix size."""
        counts: dict[Shape, int] = {}
        rows = {}
        for key, shape in self.slices.items():
            rows[key] = counts.get(shape, 0)
            counts[shape] = rows[key] + 1
        return rows


def prepare_folder(folder: Path, plan: Plan) -> None:
    """Create the folder of a bank, or accept an existing one if its plan covers all of these slices.

    Raises IncompatiblePack when an existing bank has another plan, OutputRefused when the folder cannot be created.
    """
    if (folder / PLAN).exists():
        _check_existing(folder, plan, read_plan(folder))
        return
    if folder.exists() and (not folder.is_dir() or holds_more_than_lock(folder)):
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
        _create_array(folder, size, plan)
    replace_file(folder / PLAN, plan_text(plan).encode())  # written last: it marks the folder as complete


def _check_existing(folder: Path, wanted: Plan, existing: Plan) -> None:
    differences = [
        f"{name}: {getattr(existing, name)}, not {getattr(wanted, name)}"
        for name in ("realisations", "calibration", "doses")
        if getattr(existing, name) != getattr(wanted, name)
    ]
    missing = sum(existing.slices.get(key) != shape for key, shape in wanted.slices.items())
    differences += [f"{missing} of {len(wanted.slices)} slices are not in it"] if missing else []
    if differences:
        raise IncompatiblePack(
            f"{folder}: is a noise bank for something else ({'; '.join(differences)}); name another folder, or remove "
            "this one"
        )


def _create_array(folder: Path, size: Shape, plan: Plan) -> None:
    """Create an array of the final size; it takes no disk space yet where the file system supports sparse files."""
    with output_errors(folder), (folder / array_name(size)).open("wb") as file:
        shape = plan.array_shape(size)
        npy.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 2 * int(np.prod(shape)))


def array_name(size: Shape) -> str:
    """Return the name of the file with all slices of one matrix size: '512x512.npy'."""
    return f"{size[0]}x{size[1]}.npy"


def plan_text(plan: Plan) -> str:
    """Return the content of ``plan.json``."""
    settings = {"realisations": plan.realisations, "calibration": plan.calibration, "doses": plan.doses}
    return json.dumps({"format": FORMAT, "version": VERSION, **settings, "slices": plan.slices})


def read_plan(folder: Path) -> Plan:
    """Read the plan of a bank; raises IncompatiblePack when there is none or it is damaged."""
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
