"""Search for CT series below a folder, in any layout; slices are decoded one by one and unreadable files reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lowdose.data.pack.reader import is_pack
from lowdose.errors import LowDoseError, NothingToRead
from lowdose.image import Acquisition, Slice
from lowdose.io.dicom.arrangement import arrange
from lowdose.io.dicom.copies import drop_copies
from lowdose.io.dicom.header import DicomFile, read_header
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.open_file import NotACtSlice
from lowdose.io.dicom.projection_data import is_projection
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.series import read_slice
from lowdose.io.dicom.series_catalog import part_of
from lowdose.io.dicom.series_identity import group_parts, uid_of
from lowdose.io.folder_tree import walk_folders
from lowdose.io.layouts import ENDINGS
from lowdose.io.mayo import case_key, case_of
from lowdose.io.messages import printable, reason
from lowdose.io.open_series import open_source
from lowdose.io.source import Plane
from lowdose.io.zip_files import extract_zip

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
    read : callable
        Index of a slice -> the slice, decoded on the call.
    """

    place: Path
    uid: str
    acquisition: Acquisition
    patient_keys: frozenset[str]
    case: str | None
    planes: list[Plane]
    read: Callable[[int], Slice]


def iterate_series(root: Path, warnings: list[str], stack: ExitStack | None = None) -> Iterator[Series]:
    """Yield the CT series of a folder, or of a single DICOM, NIfTI, NumPy or zip file, one by one.

    A series that lies in several folders is yielded in as many parts. Files that are not CT images are skipped; CT
    images that cannot be read are added to ``warnings``. Unpacked files live as long as ``stack``; without one, until
    the next series is requested. Raises NothingToRead when ``root`` does not exist, and CannotDecode when a folder
    cannot be listed.
    """
    if not root.exists():
        raise NothingToRead(f"{root}: no such file or folder")
    if root.is_file():
        yield from _file_series(root.parent, [root], root.name, warnings, stack)
        return
    for folder, children, files in walk_folders(root):
        if is_pack(folder):
            children.clear()
            warnings.append(f"{folder}: a pack within a folder is passed over; name it by itself")
            continue
        name = f"{root.resolve().name}/{folder.relative_to(root).as_posix()}"
        yield from _file_series(folder, files, name, warnings, stack)


def _file_series(
    folder: Path, files: Sequence[Path], name: str, warnings: list[str], stack: ExitStack | None
) -> Iterator[Series]:
    arrays = {file: file.name.lower().endswith(ENDINGS) for file in files}
    yield from _dicom_series(folder, [file for file in files if not arrays[file]], name, warnings)
    for file in filter(arrays.get, files):
        with ExitStack() as file_stack:
            keeper = file_stack if stack is None else stack
            if file.name.lower().endswith(".zip"):
                yield from _zip_series(file, warnings, keeper)
                continue
            try:
                source = keeper.enter_context(open_source(file))
            except LowDoseError as error:
                warnings.append(f"{error} (left out)")
                continue
            yield _make_series(
                file, "", source.acquisition, frozenset(), f"{name}/{file.name}", source.planes, source.read
            )


def _zip_series(file: Path, warnings: list[str], keeper: ExitStack) -> Iterator[Series]:
    unpacked = Path(keeper.enter_context(TemporaryDirectory(prefix="lowdose-"))) / file.name
    unpacked.mkdir()
    zip_warnings: list[str] = []
    try:
        extract_zip(file, unpacked)
        for series in iterate_series(unpacked, zip_warnings, keeper):
            yield replace(series, place=file / series.place.relative_to(unpacked))
    except LowDoseError as error:
        zip_warnings.append(f"{error} (left out)")
    warnings += [text.replace(str(unpacked), str(file)) for text in zip_warnings]


def _make_series(
    place: Path,
    uid: str,
    acquisition: Acquisition,
    keys: frozenset[str],
    name: str,
    planes: list[Plane],
    read: Callable[[int], Slice],
) -> Series:
    case = case_of(name, keys)
    keys = keys | {case_key(case)} if case else keys
    return Series(place, uid, acquisition, keys, case, planes, read)


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
        planes = [image.plane for image in images]
        yield _make_series(
            folder, uid_of(group.name), _acquisition(found[0], images), keys, name, planes, partial(_read_slice, images)
        )


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
    return read_slice(images[index])
