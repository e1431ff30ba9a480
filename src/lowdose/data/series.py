"""Search for CT series below a folder, in any layout; slices are decoded one by one and unreadable files reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lowdose.data.pack.reader import is_pack
from lowdose.errors import LowDoseError
from lowdose.image import Acquisition, Slice
from lowdose.io.dicom.arrangement import arrange
from lowdose.io.dicom.copies import drop_copies
from lowdose.io.dicom.header import DicomFile, read_header
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.open_file import NotACtSlice
from lowdose.io.dicom.projection_data import is_projection
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.series import read_slice, slice_files
from lowdose.io.dicom.series_catalog import part_of
from lowdose.io.dicom.series_identity import group_parts, uid_of
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import (
    ARCHIVES,
    ARRAYS,
    check_input,
    is_compressed_slice,
    is_series_file,
    kind_of,
)
from lowdose.io.mayo import case_key, case_of
from lowdose.io.messages import printable, reason
from lowdose.io.open_series import extract, open_source
from lowdose.io.source import Plane, SliceFile
from lowdose.io.stated_sizes import with_possible_pixel
from lowdose.io.tar_files import extract_slices

SHOWN = 5
"""Number of unreadable files of one folder that are named; the rest are only counted."""


@dataclass(frozen=True)
class Series:
    """One CT series.

    Attributes
    ----------
    place : Path
        Its folder or file, for messages.
    uid : str
        SeriesInstanceUID; '' where the format has none.
    acquisition : Acquisition
        How it was acquired, as its header states.
    patient_keys : frozenset of str
        Hashes that identify the patient (``io.dicom.patients``).
    case : str or None
        Public case name in the Mayo collections.
    planes : list of Plane
        Geometry and tube current of each slice.
    files : list of SliceFile
        Where each slice is stored.
    read : callable
        Index of a slice -> the slice, decoded on the call.
    """

    place: Path
    uid: str
    acquisition: Acquisition
    patient_keys: frozenset[str]
    case: str | None
    planes: list[Plane]
    files: list[SliceFile]
    read: Callable[[int], Slice]


def iterate_series(root: Path, warnings: list[str], stack: ExitStack | None = None) -> Iterator[Series]:
    """Yield the CT series of a folder, or of a single file of any kind, one by one.

    A series that lies in several folders is yielded in as many parts. Files that are not CT images are skipped; CT
    images that cannot be read are added to ``warnings``. Unpacked files live as long as ``stack``; without one, until
    the next series is requested. Raises NothingToRead when ``root`` does not exist, and CannotDecode when it is
    no file or folder, or cannot be listed.
    """
    check_input(root)
    if root.is_file():
        if kind_of(root) in (*ARRAYS, *ARCHIVES):
            yield from _file_series(root, root.name, warnings, stack)
        else:
            yield from _folder_series(root.parent, [root], root.name, warnings, stack)
        return
    for folder, children, files in walk_folders(root):
        if is_pack(folder):
            children.clear()
            warnings.append(f"{folder}: a pack within a folder is passed over; name it by itself")
            continue
        name = f"{root.resolve().name}/{folder.relative_to(root).as_posix()}"
        yield from _folder_series(folder, files, name, warnings, stack)


def _folder_series(
    folder: Path, files: Sequence[Path], name: str, warnings: list[str], stack: ExitStack | None
) -> Iterator[Series]:
    """Yield the series of the files of one folder, first those of single slices."""
    whole = [file for file in files if is_series_file(file)]
    slices = [file for file in files if not is_series_file(file)]
    packed = [file for file in slices if is_compressed_slice(file)]
    with ExitStack() as folder_stack:
        if packed:
            unpack = partial(extract_slices, packed, slices, folder)
            yield from _unpacked_series(folder, unpack, warnings, stack or folder_stack)
        else:
            yield from _dicom_series(folder, slices, name, warnings)
    for file in whole:
        yield from _file_series(file, f"{name}/{file.name}", warnings, stack)


def _file_series(file: Path, name: str, warnings: list[str], stack: ExitStack | None) -> Iterator[Series]:
    """Yield the series of an archive or of an array file; what cannot be read is added to ``warnings``."""
    with ExitStack() as file_stack:
        keeper = stack or file_stack
        try:
            check_input(file)
            if (kind := kind_of(file)) in ARCHIVES:
                yield from _unpacked_series(file, partial(extract, file, kind), warnings, keeper)
                return
            source = keeper.enter_context(open_source(file))
        except LowDoseError as error:
            warnings.append(f"{error} (left out)")
            return
        yield _make_series(file, "", source.acquisition, frozenset(), name, source.planes, source.files, source.read)


def _unpacked_series(
    place: Path, unpack: Callable[[Path], None], warnings: list[str], keeper: ExitStack
) -> Iterator[Series]:
    """Yield the series of what ``unpack`` writes into the folder that it is given; ``place`` is named in messages."""
    unpacked = Path(keeper.enter_context(TemporaryDirectory(prefix="lowdose-"))) / place.name
    unpacked.mkdir()
    found: list[str] = []
    try:
        unpack(unpacked)
        for series in iterate_series(unpacked, found, keeper):
            yield replace(series, place=place / series.place.relative_to(unpacked))
    except LowDoseError as error:
        found.append(f"{error} (left out)")
    warnings += [text.replace(str(unpacked), str(place)) for text in found]


def _make_series(
    place: Path,
    uid: str,
    acquisition: Acquisition,
    keys: frozenset[str],
    name: str,
    planes: list[Plane],
    files: list[SliceFile],
    read: Callable[[int], Slice],
) -> Series:
    case = case_of(name, keys)
    keys = keys | {case_key(case)} if case else keys
    return Series(place, uid, acquisition, keys, case, [with_possible_pixel(plane) for plane in planes], files, read)


def _dicom_series(folder: Path, paths: Sequence[Path], name: str, warnings: list[str]) -> Iterator[Series]:
    """Yield the series among the DICOM files of one folder, complete except for files that cannot be read.

    Copies, and images that have no place in a stack of their series, are left out and named in ``warnings``.
    """
    readable: list[DicomFile] = []
    faults: list[str] = []
    with suppress_pydicom_warnings():
        for path in paths:
            try:
                file = read_header(path) if path.is_file() else None
            except NotACtSlice:
                continue
            except (LowDoseError, OSError) as error:
                faults.append(str(error) if isinstance(error, LowDoseError) else f"{path}: {reason(error)}")
                continue
            if file is not None and file.fault is None:
                readable.append(file)
            elif file is not None:
                faults.append(str(file.fault))
    more = len(faults) - SHOWN
    warnings += [printable(f"{text} (left out)") for text in faults[:SHOWN]]
    warnings += [f"{folder}: {more} more files that cannot be read (left out)"] if more > 0 else []
    for group in group_parts([part_of(file, folder) for file in readable]):
        found = [readable[index] for index in group.parts]
        if is_projection(found[0].path):
            warnings.append(f"{folder}: projection data (DICOM-CT-PD), not images; passed over")
            continue
        try:
            found, copies, _ = drop_copies(found)
        except LowDoseError as error:
            warnings.append(printable(f"{error} (left out)"))
            continue
        arranged = arrange([image for file in found for image in file.images])
        warnings += [printable(line) for line in (*copies, *arranged.set_aside)]
        images = arranged.images
        keys = frozenset[str]().union(*(file.patient_keys for file in found))
        planes, stored = [image.plane for image in images], slice_files(images)
        yield _make_series(
            folder, uid_of(group.name), _acquisition(found[0], images), keys, name, planes, stored,
            partial(_read_slice, images),
        )  # fmt: skip


def _acquisition(file: DicomFile, images: Sequence[SliceHeader]) -> Acquisition:
    """Return the acquisition that a series states; multi-frame files state the slice thickness for each frame."""
    acquisition = file.acquisition
    return (
        acquisition
        if acquisition.thickness_mm is not None
        else replace(acquisition, thickness_mm=images[0].thickness_mm)
    )


def _read_slice(images: Sequence[SliceHeader], index: int) -> Slice:
    """Read one slice from its own file only, so that a fault in another file cannot prevent it."""
    return read_slice(images[index], images[index].plane)
