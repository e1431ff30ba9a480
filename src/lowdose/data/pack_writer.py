"""Writer of packs, which adds slices one by one so that memory use does not grow with the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from numpy.lib import format as npy

from lowdose.data.pack.index import (
    Int16Image,
    SeriesRow,
    SliceRow,
    array_name,
    pixel_hash,
    round_hu,
    short_hash,
    write_table,
)
from lowdose.data.pack.reader import is_pack
from lowdose.data.pairs import PairedSlice, paired_slices
from lowdose.data.series import Series, iterate_series
from lowdose.errors import InvalidSetting, LowDoseError, NothingToRead, OutputRefused
from lowdose.image import HU, Acquisition
from lowdose.io.atomic import lies_inside, new_folder
from lowdose.io.dicom.patients import number_patients
from lowdose.io.messages import counted, reason
from lowdose.io.orientation import FOR_TRAINING, not_axial
from lowdose.io.pairing import open_pairs, search_pairs
from lowdose.io.source import Plane

PAIRINGS = ("folders", "none")
SHOWN = 3
"""Number of warnings that an error message quotes."""
Images = Mapping[str, HU]


@dataclass(frozen=True)
class PackSummary:
    """Contents of a new pack.

    Attributes
    ----------
    slices, series, patients : int
        Numbers of each.
    bytes : int
        Size on disk.
    warnings : list of str
        What was left out, and why.
    """

    slices: int
    series: int
    patients: int
    bytes: int
    warnings: list[str]


@dataclass(frozen=True)
class _Incoming:
    """Series to be packed.

    Attributes
    ----------
    place : str
        Its folder or file, for messages.
    uid : str
        SeriesInstanceUID; '' where the format has none.
    acquisition : Acquisition
        How it was acquired.
    keys : frozenset of str
        Hashes that identify the patient.
    case : str or None
        Public case name in the Mayo collections.
    planes : sequence of Plane
        Geometry and tube current of each slice.
    read : callable
        Index of a slice -> its images by dose, (y, x) HU.
    """

    place: str
    uid: str
    acquisition: Acquisition
    keys: frozenset[str]
    case: str | None
    planes: Sequence[Plane]
    read: Callable[[int], Images]


def write_pack(
    roots: Sequence[Path], out: Path, pairing: str, dose: str, advance: Callable[[int], None] = lambda _: None
) -> PackSummary:
    """Pack all series below the roots into the new folder ``out``, which appears complete or not at all.

    pairing: 'folders' packs the pairs that ``io.pairing.search_pairs`` finds; 'none' packs every CT slice, labelled
    with the dose ``dose`` ('full' or 'low'). advance: called with the number of slices packed so far. What cannot be
    read is left out and reported in the warnings. Raises NothingToRead when nothing is left, OutputRefused,
    InvalidSetting.
    """
    _check(roots, out, pairing, dose)
    warnings: list[str] = []
    with new_folder(out) as folder:
        writer = PackWriter(folder)
        for root in roots:
            incoming = _paired_series(root, warnings) if pairing == "folders" else _single_series(root, dose, warnings)
            for series in incoming:
                warnings += [f"{series.place}: {text}" for text in not_axial(series.planes, FOR_TRAINING)]
                warnings += writer.take(series, advance)
        if not writer.slices:
            details = f" ({'; '.join(warnings[:SHOWN])})" if warnings else ""
            raise NothingToRead(f"{', '.join(map(str, roots))}: no slice to pack{details}")
        count = writer.finish()
        size = sum(file.stat().st_size for file in folder.iterdir())
    return PackSummary(len(writer.slices), len(writer.series), count, size, warnings)


def _check(roots: Sequence[Path], out: Path, pairing: str, dose: str) -> None:
    if pairing not in PAIRINGS:
        raise InvalidSetting(f"--pairing {pairing}: must be one of {', '.join(PAIRINGS)}")
    if dose not in ("full", "low"):
        raise InvalidSetting(f"--dose {dose}: must be full or low")
    for root in roots:
        if is_pack(root):
            raise InvalidSetting(f"{root}: is a pack already; commands that take --data take several packs")
        if root.is_dir() and lies_inside(out, root):
            raise OutputRefused(f"{out}: lies inside the input folder {root}; choose a place outside it")


class PackWriter:
    """Incremental writer of a pack's arrays; ``finish`` completes them and writes the table."""

    def __init__(self, folder: Path) -> None:
        self.series: list[SeriesRow] = []
        self.slices: list[SliceRow] = []
        self._folder = folder
        self._counts: dict[str, int] = {}
        self._seen: set[str] = set()

    def take(self, incoming: _Incoming, advance: Callable[[int], None]) -> list[str]:
        """Add one series; return a sentence for everything left out of it."""
        warnings: list[str] = []
        before, repeated = len(self.slices), 0
        for index, plane in enumerate(incoming.planes):
            try:
                images = {role: round_hu(hu) for role, hu in incoming.read(index).items()}
            except (LowDoseError, OSError) as error:
                warnings.append(f"{error if isinstance(error, LowDoseError) else reason(error)} (left out)")
                continue
            repeated += not self._add(incoming, index, plane, images)
            advance(len(self.slices))
        if repeated:
            warnings.append(f"{incoming.place}: {counted(repeated, 'slice')} in the pack already (left out)")
        if len(self.slices) > before:
            acquisition = incoming.acquisition
            fields = (acquisition.thickness_mm, acquisition.kernel, acquisition.kvp, acquisition.manufacturer)
            uid = short_hash(incoming.uid or self.slices[before].key)
            self.series.append(SeriesRow(0, incoming.case, uid, *fields, tuple(sorted(incoming.keys))))
        return warnings

    def _add(self, incoming: _Incoming, index: int, plane: Plane, images: Mapping[str, Int16Image]) -> bool:
        """Add one slice unless the pack already holds it; return whether it was added."""
        hashes = {role: pixel_hash(image) for role, image in images.items()}
        place = f"{index}" if plane.position is None else f"{plane.position:.3f} mm"
        key = short_hash(f"{incoming.uid} {place} {sorted(hashes.items())}")
        if key in self._seen:
            return False
        self._seen.add(key)
        shape = next(iter(images.values())).shape
        size = (shape[0], shape[1])
        rows = [self._append(array_name(role, size), image) for role, image in images.items()]
        fields = (key, size, plane.position, plane.pixel_mm, plane.mas)
        self.slices.append(SliceRow(len(self.series), rows[0], *fields, hashes.get("low"), hashes.get("full")))
        return True

    def _append(self, name: str, image: Int16Image) -> int:
        """Append an image to its array; return its row."""
        row = self._counts.get(name, 0)
        with (self._folder / name).open("ab") as file:
            if row == 0:
                npy.write_array_header_1_0(file, _header(0, image.shape))
            file.write(image.astype("<i2", copy=False).tobytes())
        self._counts[name] = row + 1
        return row

    def finish(self) -> int:
        """Complete the array headers, number the patients and write the table; return the number of patients."""
        for name, count in self._counts.items():
            with (self._folder / name).open("r+b") as file:
                version = npy.read_magic(file)
                shape, _, _ = npy.read_array_header_1_0(file)
                end = file.tell()
                file.seek(0)
                npy.write_array_header_1_0(file, _header(count, shape[1:]))  # NumPy pads headers for this
                if version != (1, 0) or file.tell() != end:
                    raise AssertionError(f"the header of {name} changed its length")
        numbers = number_patients(self.series)
        rows = [replace(row, patient=number + 1) for row, number in zip(self.series, numbers, strict=True)]
        write_table(self._folder, rows, self.slices)
        return len(set(numbers))


def _header(count: int, shape: Sequence[int]) -> dict[str, object]:
    return {"descr": "<i2", "fortran_order": False, "shape": (count, *shape)}


def _single_series(root: Path, dose: str, warnings: list[str]) -> Iterator[_Incoming]:
    for series in iterate_series(root, warnings):
        read, keys = partial(_read_single, series, dose), series.patient_keys
        yield _Incoming(str(series.place), series.uid, series.acquisition, keys, series.case, series.planes, read)


def _read_single(series: Series, dose: str, index: int) -> Images:
    return {dose: series.read(index).in_air}


def _paired_series(root: Path, warnings: list[str]) -> Iterator[_Incoming]:
    found = search_pairs(root)
    warnings += found.warnings
    for pair in found.pairs:
        with ExitStack() as stack:
            try:
                (series,) = open_pairs(stack, [(pair.name, pair.low, pair.full)])
            except LowDoseError as error:
                warnings.append(f"{error} (left out)")
                continue
            warnings += [f"{pair.name}: {text}" for text in series.warnings]
            planes = [series.full.planes[j] for _, j in series.pairs]
            uid, acquisition = str(series.full.uids.get("series", "")), series.full.acquisition
            read = partial(_read_pair, paired_slices(series))
            yield _Incoming(pair.name, uid, acquisition, series.patient_keys, series.case, planes, read)


def _read_pair(items: Sequence[PairedSlice], index: int) -> Images:
    low, full = items[index].read()
    return {"low": low, "full": full}
