"""The fixed validation slices, on which all choices between models are made: pairs of quarter and full dose.

    python -m experiments.furnace.validation_set SET [CT]

CT: folder with ``pairs``, ``blocks``, ``more`` and ``normal-dose`` (``../shared/ct``), of which the patients of
``held_out_patients.json`` are taken: real pairs, and quarter dose simulated exactly, with the noise of overlapping
slices correlated. Without CT, slices of digital patients. SET gets one file a slice and ``index.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import lowdose
from experiments.common.pairs import open_pair_folders
from experiments.furnace.choose_slices import MAX_NOISE_HU, SliceFile, held_out, noise_sd, read_hu, slice_files
from lowdose.data.pack.index import round_hu, short_hash
from lowdose.errors import LowDoseError
from lowdose.image import HU
from lowdose.io.atomic import new_folder
from lowdose.simulation.series import HIGHEST_CORRELATION

DOSE, SEED = 0.25, 7
PER_PATIENT = 3
"""Slices of a patient of whom neighbouring slices are at hand; of others, up to as many single slices."""
PIXEL_MM = {"L291": 0.75, "L333": 0.75}
"""Pixel size of the pairs that are arrays without a header."""
FIRST_DIGITAL = 600_000


@dataclass(frozen=True)
class ValidationSlice:
    """One pair.

    Attributes
    ----------
    patient : str
        Name of the patient.
    file : str
        Name of its file.
    pixel_mm : float
        Pixel size.
    real : bool
        Whether the quarter dose is a scan.
    neighbours : bool
        Whether the outer slices are neighbours and not the slice itself.
    """

    patient: str
    file: str
    pixel_mm: float
    real: bool
    neighbours: bool


Images = tuple[Sequence[HU], HU]
"""Low dose with the neighbours, in order, and full dose."""
Found = tuple[str, float, bool, bool, Images]
"""Patient, pixel size, whether it is real and has neighbours, images."""


def main() -> None:
    """Build the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("ct", type=Path, nargs="?")
    arguments = parser.parse_args()
    build(arguments.set, arguments.ct)


def build(target: Path, ct: Path | None) -> None:
    """Write the validation slices into the new folder ``target``."""
    items: list[ValidationSlice] = []
    with new_folder(target) as folder:
        for patient, pixel, real, neighbours, (low, full) in _real_and_simulated(ct) if ct else _digital():
            item = ValidationSlice(patient, f"{len(items):03d}.npz", pixel, real, neighbours)
            stack = np.stack([round_hu(image) for image in low])
            np.savez_compressed(folder / item.file, low=stack, full=round_hu(full))
            items.append(item)
            print(f"{item.file}: {patient}", flush=True)
        (folder / "index.json").write_text(json.dumps([asdict(item) for item in items], indent=1) + "\n")


def load_set(folder: Path) -> list[ValidationSlice]:
    """Return the slices of a set."""
    return [ValidationSlice(**item) for item in json.loads((folder / "index.json").read_text())]


def load_images(folder: Path, item: ValidationSlice) -> tuple[NDArray[np.float32], HU]:
    """Return low dose with its neighbours, (3, y, x) HU, and full dose, (y, x) HU."""
    with np.load(folder / item.file) as arrays:
        return arrays["low"].astype(np.float32), arrays["full"].astype(np.float32)


def _real_and_simulated(ct: Path) -> Iterator[Found]:
    yield from _real_pairs(ct)
    wanted = {series: name for name, known in held_out("validation").items() for series in known}
    by_patient: dict[str, dict[tuple[Path, str], list[SliceFile]]] = {}
    for file in (file for part in ("blocks", "more", "normal-dose") for file in slice_files(ct / part)):
        if name := wanted.get(short_hash(file.series)):
            by_patient.setdefault(name, {}).setdefault((file.path.parent, file.series), []).append(file)
    for name in sorted(by_patient):
        parts = by_patient[name]
        blocks = [files for (folder, _), files in parts.items() if folder.is_relative_to(ct / "blocks")]
        found = [list(_simulated(name, files)) for files in blocks or parts.values()]
        in_turn = [item for items in zip_longest(*found) for item in items if item is not None]
        yield from in_turn[:PER_PATIENT]


def _real_pairs(ct: Path) -> Iterator[Found]:
    with ExitStack() as stack:
        for case in open_pair_folders(stack, [ct / "pairs/mayo-2016/L096-3mm-D45f"]):
            for i, j in case.pairs:
                low, full = case.low.read(i), case.full.read(j)
                yield "L096", low.mean_pixel_mm or 1.0, True, False, ([low.in_air] * 3, full.in_air)
    for name, pixel in PIXEL_MM.items():
        files = {dose: next((ct / "more").glob(f"pairs-mayo-{name}-*/*{dose}_hu.npy")) for dose in ("quarter", "full")}
        images = {dose: np.load(file).astype(np.float32) for dose, file in files.items()}
        yield name, pixel, True, False, ([images["quarter"]] * 3, images["full"])


def _simulated(name: str, files: Sequence[SliceFile]) -> Iterator[Found]:
    """Yield slices of one series, evenly spread, at simulated quarter dose; slices with too much noise are left out."""
    ordered = sorted(files, key=lambda file: file.position)
    steps = [b.position - a.position for a, b in pairwise(ordered)]
    block = len(steps) > 2 and max(steps) <= 1.05 * ordered[0].thickness
    overlap = max(0.0, 1 - steps[0] / ordered[0].thickness) if block else 0.0
    with TemporaryDirectory() as scratch:
        for number, file in enumerate(ordered):
            (Path(scratch) / f"{number:03d}.dcm").write_bytes(file.path.read_bytes())
        try:
            low = lowdose.simulate_dose(
                scratch, dose=DOSE, seed=SEED, z_correlation=min(overlap, HIGHEST_CORRELATION)
            ).volume
        except LowDoseError as error:
            print(f"{name}: {error} (left out)")
            return
        full = lowdose.read(scratch)
    for index in _middles(len(ordered), block):
        if noise_sd(read_hu(ordered[index].path)) <= MAX_NOISE_HU:
            seen = [low.hu[index + step] if block else low.hu[index] for step in (-1, 0, 1)]
            yield name, float(np.mean(full.geometry.spacing[1:])), False, block, (seen, full.hu[index])


def _middles(count: int, block: bool) -> list[int]:
    if not block:
        return list(range(count))[:PER_PATIENT]
    return [int(i) for i in np.linspace(1, count - 2, PER_PATIENT).round()]


def _digital(patients: int = 8) -> Iterator[Found]:
    from experiments.furnace.digital_patients import write_digital_patient

    for number in range(patients):
        with TemporaryDirectory() as scratch:
            write_digital_patient(FIRST_DIGITAL + number, Path(scratch) / "full")
            low = lowdose.simulate_dose(Path(scratch) / "full", dose=DOSE, seed=SEED).volume
            full = lowdose.read(Path(scratch) / "full")
        pixel = float(np.mean(full.geometry.spacing[1:]))
        yield f"digital {number}", pixel, False, False, ([low.hu[0]] * 3, full.hu[0])


if __name__ == "__main__":
    main()
