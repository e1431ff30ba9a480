"""Choice of the slices that the shipped models are trained on, from folders of normal-dose CT."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.misc import is_dicom
from scipy.ndimage import uniform_filter

from lowdose.data.pack.index import short_hash
from lowdose.image import HU

SPLIT = Path(__file__).with_name("held_out_patients.json")
"""Patients that no model is trained on, with short hashes of their SeriesInstanceUIDs."""
MAX_NOISE_HU = 30.0
"""Largest noise (``noise_sd``) of a slice that serves as a target."""
RUN, SINGLES = 5, 3
"""Neighbouring slices taken together, and single slices, of one series."""
SLICES_PER_RUN = 40
"""A series of more slices than this gives a second run, and so on."""
SOFT_TISSUE_HU = (-100.0, 150.0)


class SliceFile(NamedTuple):
    """A DICOM slice.

    Attributes
    ----------
    path : Path
        Its file.
    patient, series : str
        PatientID and SeriesInstanceUID; the folder where the header states none.
    position : mm
        Position along z.
    thickness : mm
        Slice thickness.
    """

    path: Path
    patient: str
    series: str
    position: float
    thickness: float


def held_out(part: str) -> dict[str, list[str]]:
    """Return the patients of one part, 'validation' or 'test': short hashes of their series by name of the patient."""
    patients: dict[str, list[str]] = json.loads(SPLIT.read_text())[part]
    return patients


def slice_files(folder: Path) -> Iterator[SliceFile]:
    """Yield the CT slices below a folder, each SOPInstanceUID once."""
    seen: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and is_dicom(path)):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        identity = str(header.get("SOPInstanceUID") or path)
        if "ImagePositionPatient" not in header or identity in seen:
            continue
        seen.add(identity)
        place = str(path.parent)
        yield SliceFile(
            path, str(header.get("PatientID") or place), str(header.get("SeriesInstanceUID") or place),
            float(header.ImagePositionPatient[2]), float(header.get("SliceThickness") or 0.0),
        )  # fmt: skip


def trainable_files(folders: Sequence[Path]) -> list[SliceFile]:
    """Return the slices of all patients that are not held out."""
    files = [file for folder in folders for file in slice_files(folder)]
    unique = {(file.series, file.position): file for file in files}
    excluded = {series for part in ("validation", "test") for known in held_out(part).values() for series in known}
    patients = {file.patient for file in files if short_hash(file.series) in excluded}
    return [file for file in unique.values() if file.patient not in patients]


def choose_slices(files: Sequence[SliceFile], whole_runs: bool = False) -> list[SliceFile]:
    """Return runs of neighbouring slices, and single ones, of every series; those with too much noise are left out.

    A run makes three slices of a model that sees neighbours, or more with ``whole_runs``, which takes all slices of
    every run. Runs and singles are spread evenly over a series.
    """
    series: dict[str, list[SliceFile]] = defaultdict(list)
    for file in files:
        series[file.series].append(file)
    chosen: list[SliceFile] = []
    for members in series.values():
        members.sort(key=lambda file: file.position)
        runs = [run for run in _runs(members) if len(run) >= RUN]
        wanted = max(len(runs), len(members) // SLICES_PER_RUN + 1) if runs else 0
        taken = runs if whole_runs else [p for run in runs for p in _spread_runs(run, max(1, wanted // len(runs)))]
        singles = [file for file in members if not any(file in run for run in runs)]
        taken = taken + [[singles[index]] for index in _spread(len(singles), SINGLES)]
        chosen += [file for part in taken if _is_clean(part) for file in part]
    return chosen


def _runs(members: Sequence[SliceFile]) -> list[list[SliceFile]]:
    """Split the slices of one series, sorted by position, where a slice is missing."""
    runs = [[members[0]]]
    for one, other in pairwise(members):
        if other.position - one.position <= 1.05 * one.thickness:
            runs[-1].append(other)
        else:
            runs.append([other])
    return runs


def _spread_runs(run: Sequence[SliceFile], count: int) -> list[list[SliceFile]]:
    starts = _spread(len(run) - RUN + 1, min(count, len(run) // RUN))
    return [list(run[start : start + RUN]) for start in starts]


def _spread(count: int, most: int) -> list[int]:
    """Return up to ``most`` of the numbers below ``count``: the middles of equal parts."""
    parts = min(count, most)
    return [int((part + 0.5) * count / parts) for part in range(parts)]


def _is_clean(files: Sequence[SliceFile]) -> bool:
    return float(np.median([noise_sd(read_hu(file.path)) for file in files])) <= MAX_NOISE_HU


def read_hu(path: Path) -> HU:
    """Read the HU of a DICOM slice with top-level rescale tags."""
    dataset = pydicom.dcmread(path)
    hu: HU = dataset.pixel_array * np.float32(dataset.RescaleSlope) + np.float32(dataset.RescaleIntercept)
    return hu


def noise_sd(hu: HU) -> float:
    """Return the 20th percentile of the SD (HU) in windows of 11 x 11 pixels of soft tissue, NaN if there is none."""
    inside = np.clip(hu, *SOFT_TISSUE_HU).astype(np.float64)
    mean = uniform_filter(inside, 11)
    sd = np.sqrt(np.maximum(uniform_filter(inside**2, 11) - mean**2, 0))
    soft = uniform_filter(((hu > SOFT_TISSUE_HU[0]) & (hu < SOFT_TISSUE_HU[1])).astype(np.float32), 11) > 0.95
    return float(np.percentile(sd[soft], 20)) if soft.any() else float("nan")
