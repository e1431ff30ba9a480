"""Findings of DeepLesion: the table DL_info.csv, which marks one or more boxes in each key slice."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from lowdose.errors import CannotDecode
from lowdose.io.findings.finding import Finding, Findings, LeftOut, Mark, SliceName
from lowdose.io.findings.regions import RADIOLOGICAL, PictureBox
from lowdose.io.messages import reason, shown

TYPES = {
    "1": "bone", "2": "abdomen", "3": "mediastinum", "4": "liver", "5": "lung", "6": "kidney", "7": "soft tissue",
    "8": "pelvis",
}  # fmt: skip
"""Coarse_lesion_type of the validation and test part; -1 elsewhere."""
UNKNOWN_TYPE = "lesion"


def read_deep_lesion(path: Path) -> Findings:
    """Read the table of DeepLesion, one finding for each row; rows that it marks as possibly noisy are left out.

    Corners of boxes are centres of pixels, counted from 1, so that 1 is the middle of the first. The slice is named by
    ``File_name``, such as 000001_01_01_109.png: slice 109 of the folder 000001_01_01, or of the NIfTI file
    000001_01_01_103-115.nii.gz that the collection's own script makes of it. Raises CannotDecode, naming the row.

    References
    ----------
    K. Yan, X. Wang, L. Lu, R. M. Summers, DeepLesion: automated mining of large-scale lesion annotations and universal
    lesion detection with deep learning, Journal of Medical Imaging 5(3), 2018.
    """
    findings, noisy = list[Finding](), 0
    for number, row in enumerate(_rows(path), 2):
        if row.get("Possibly_noisy", "").strip() == "1":
            noisy += 1
            continue
        findings.append(_finding(path, f"{path}: row {number}", row))
    return Findings(path, findings, [LeftOut(path, f"{noisy} possibly noisy rows")] if noisy else [])


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                yield {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
    except (OSError, ValueError, csv.Error) as error:
        raise CannotDecode(f"{path}: no readable table ({reason(error)}); download it again") from error


def _finding(path: Path, where: str, row: Mapping[str, str]) -> Finding:
    name = row.get("File_name", "").strip()
    if not name:
        raise CannotDecode(f"{where}: File_name is empty, so its slice is unknown; download the table again")
    left, top, right, bottom = _corners(where, row.get("Bounding_boxes", ""))
    box = (top - 0.5, left - 0.5, bottom - 0.5, right - 0.5)
    label = TYPES.get(row.get("Coarse_lesion_type", "").strip(), UNKNOWN_TYPE)
    return Finding(label, (Mark(SliceName(file=name), PictureBox(box, None, RADIOLOGICAL)),), path)


def _corners(where: str, text: str) -> tuple[float, float, float, float]:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)) or values[2] <= values[0] or values[3] <= values[1]:
        raise CannotDecode(f"{where}: Bounding_boxes is '{shown(text)}'; it must be 'x1, y1, x2, y2' in pixels")
    return values[0], values[1], values[2], values[3]
