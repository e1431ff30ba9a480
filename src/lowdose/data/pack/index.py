"""The table of a pack, ``slices.json``: metadata of every slice, without anything that identifies the patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import IncompatiblePack
from lowdose.image import HU

FORMAT, VERSION = "lowdose-pack", 1
TABLE = "slices.json"
HASH_DIGITS = 16
"""Hexadecimal digits kept of a SHA-256: 64 bits, so that the risk of a collision among a million slices is 3e-8."""

Int16Image = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """Metadata of one series, or of the two series of a pair; None = not stated.

    Attributes
    ----------
    patient : int
        Number within the pack, from 1.
    case : str or None
        Public case name in the Mayo collections.
    uid : str
        Short hash of the SeriesInstanceUID.
    thickness_mm : mm or None
        Slice thickness.
    kernel : str or None
        Name of the reconstruction kernel.
    kvp : kV or None
        Tube voltage.
    manufacturer : str or None
        Manufacturer of the scanner.
    patient_keys : tuple of str
        Hashes that identify the series of one patient in any pack (``io.dicom.patients``).
    """

    patient: int
    case: str | None
    uid: str
    thickness_mm: float | None
    kernel: str | None
    kvp: float | None
    manufacturer: str | None
    patient_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Metadata of one slice; None = not stated.

    Attributes
    ----------
    series : int
        Row in the table of series.
    row : int
        Index in the arrays of its matrix size.
    key : str
        Unique identifier, the same in whichever pack the slice is.
    shape : (int, int)
        Rows and columns.
    position : mm or None
        Position along the slice normal.
    pixel_mm : (mm, mm) or None
        Pixel size down the rows and along the columns.
    mas : mAs or None
        Effective tube current-time product.
    low, full : str or None
        Short hash of the pixels at each dose; None = the pack does not hold that dose.
    """

    series: int
    row: int
    key: str
    shape: tuple[int, int]
    position: float | None
    pixel_mm: tuple[float, float] | None
    mas: float | None
    low: str | None
    full: str | None

    @property
    def role(self) -> str:
        """The doses at which the pack holds this slice: 'both', 'low' or 'full'."""
        return "both" if self.low and self.full else "low" if self.low else "full"


def short_hash(data: str | bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:HASH_DIGITS]


def round_hu(image: HU) -> Int16Image:
    """Round an image in HU to int16, clipping values beyond its range."""
    return np.clip(np.rint(image), -32768, 32767).astype(np.int16)


def pixel_hash(image: Int16Image) -> str:
    """Return the short hash of a (y, x) int16 image and its shape."""
    return short_hash(f"{image.shape}".encode() + np.ascontiguousarray(image, "<i2").tobytes())


def array_name(role: str, shape: tuple[int, int]) -> str:
    """Return the name of the file with all images of one dose and matrix size: 'full-512x512.npy'."""
    return f"{role}-{shape[0]}x{shape[1]}.npy"


def write_table(folder: Path, series: Sequence[SeriesRow], slices: Sequence[SliceRow]) -> None:
    """Write ``slices.json`` with one table row per line, so that people can read it as well as any JSON reader."""
    names = [field.name for field in fields(SliceRow)]
    with (folder / TABLE).open("w", encoding="utf-8") as file:
        file.write(f'{{"format": "{FORMAT}", "version": {VERSION},\n"series": [\n')
        file.write(",\n".join(json.dumps(asdict(row)) for row in series))
        file.write(f'\n],\n"columns": {json.dumps(names)},\n"slices": [\n')
        for number, row in enumerate(slices):
            file.write(",\n" * bool(number) + json.dumps([getattr(row, name) for name in names]))
        file.write("\n]}\n")


def read_table(folder: Path) -> tuple[list[SeriesRow], list[SliceRow]]:
    """Read the series and slices of a pack; raises IncompatiblePack when the table cannot be used."""
    path = folder / TABLE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IncompatiblePack(f"{path}: cannot be read ({_first_line(error)}); copy or pack the data again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise IncompatiblePack(f"{path}: is not the table of a pack; 'lowdose data pack' writes one")
    if content.get("version") != VERSION:
        raise IncompatiblePack(
            f"{path}: version {content.get('version')}, this lowdose reads version {VERSION}; pack the data again"
        )
    try:
        series = [_series_row(row) for row in content["series"]]
        slices = [_slice_row(dict(zip(content["columns"], row, strict=True))) for row in content["slices"]]
        if any(not 0 <= row.series < len(series) for row in slices):
            raise ValueError("a slice is of a series that is not listed")
        if not slices:
            raise ValueError("no slices")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise IncompatiblePack(f"{path}: is damaged ({_first_line(error)}); copy or pack the data again") from error
    return series, slices


def _series_row(row: Mapping[str, Any]) -> SeriesRow:
    return SeriesRow(
        _whole_number(row["patient"]),
        _text(row["case"]),
        str(row["uid"]),
        _number(row["thickness_mm"]),
        _text(row["kernel"]),
        _number(row["kvp"]),
        _text(row["manufacturer"]),
        tuple(str(key) for key in row["patient_keys"]),
    )


def _slice_row(row: Mapping[str, Any]) -> SliceRow:
    rows, columns = (_whole_number(side) for side in row["shape"])
    low, full = _text(row["low"]), _text(row["full"])
    if not (low or full):
        raise ValueError("a slice of neither dose")
    pixel = row["pixel_mm"]
    pixel_mm = None if pixel is None else (_pixel_side(pixel[0]), _pixel_side(pixel[1]))
    position, mas = _number(row["position"]), _number(row["mas"])
    number, place = _whole_number(row["series"]), _whole_number(row["row"])
    return SliceRow(number, place, str(row["key"]), (rows, columns), position, pixel_mm, mas, low, full)


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _number(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _pixel_side(value: object) -> float:
    side = _number(value)
    if side is None or side <= 0:
        raise ValueError(f"a pixel of {value!r} mm")
    return side


def _text(value: object) -> str | None:
    if not (value is None or isinstance(value, str)):
        raise ValueError(f"{value!r} is no text")
    return value


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
