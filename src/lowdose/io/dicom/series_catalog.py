"""Catalogue of all CT slices below a path, grouped into series, and the choice of one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowdose.errors import CannotDecode, InvalidSetting, MixedSeries, NotCT, NothingToRead
from lowdose.io.dicom.grid import slice_normal
from lowdose.io.dicom.header import DicomFile, read_header
from lowdose.io.dicom.open_file import NotACtSlice
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.series_identity import SeriesGroup, SeriesPart, group_parts, uid_of
from lowdose.io.folder_tree import walk_folders
from lowdose.io.messages import reason, shown
from lowdose.io.source import Rescale

SHOWN = 3
"""Number of files that an error message names; the rest are counted."""


@dataclass(frozen=True)
class SeriesCatalog:
    """All CT slices below a path.

    Attributes
    ----------
    root : Path
        The path.
    series : dict of str to list of DicomFile
        Files by name of the series (``series_identity.SeriesGroup``).
    groups : dict of str to SeriesGroup
        What is known of each series, by name.
    skipped : list of str
        One line for each file that was left out, with the reason.
    dicom : bool
        Whether any of the files left out is DICOM.
    """

    root: Path
    series: dict[str, list[DicomFile]]
    groups: dict[str, SeriesGroup]
    skipped: list[str]
    dicom: bool


def scan_path(root: Path, rescale: Rescale | None = None) -> SeriesCatalog:
    """Read every header below a folder, or that of one file.

    ``rescale`` is for images that do not state their slope and intercept.

    Raises NothingToRead when there is nothing at all, and CannotDecode when something cannot be opened or a file is cut
    short before it names its series: leaving out a slice of the series would be worse than stopping.
    """
    if not root.exists():
        raise NothingToRead(f"{root}: no such file or folder")
    paths = [root] if root.is_file() else [file for _, _, files in walk_folders(root) for file in files]
    if not paths:
        raise NothingToRead(f"{root}: the folder is empty")
    return read_headers(root, paths, rescale)


def read_headers(root: Path, paths: Iterable[Path], rescale: Rescale | None = None) -> SeriesCatalog:
    """Read the headers of these files; ``root`` is named in messages."""
    read: list[DicomFile] = []
    skipped: list[str] = []
    dicom = False
    with suppress_pydicom_warnings():
        for path in paths:
            if path.exists() and not path.is_file():  # opening a pipe would block for ever
                skipped.append(f"{path}: not a regular file")
                continue
            try:
                read.append(read_header(path, rescale))
            except NotACtSlice as rejection:
                dicom |= rejection.dicom
                skipped.append(f"{path}: {rejection}")
            except OSError as error:
                why = reason(error)
                raise CannotDecode(f"{path}: cannot be opened ({why}); make it readable or move it away") from error
    groups = {group.name: group for group in group_parts([part_of(file, root) for file in read])}
    series = {name: [read[index] for index in group.parts] for name, group in groups.items()}
    return SeriesCatalog(root, series, groups, skipped, dicom)


def part_of(file: DicomFile, root: Path) -> SeriesPart:
    """Return what the headers of a file below ``root`` say of its series."""
    folder = "" if file.path == root else file.path.parent.relative_to(root).as_posix()
    grid, position, frame = "", 0.0, file.frame
    plane = file.images[0].plane if file.images else None
    if plane is not None and (plane.corner is None or plane.axes is None):
        frame = ""  # without a position there is nothing to refer
    elif plane is not None and plane.axes and plane.corner and plane.pixel_mm and len(file.images) == 1:
        axes = np.round([*plane.axes[0], *plane.axes[1]], 3) + 0.0
        kernel, thickness = file.acquisition.kernel, file.acquisition.thickness_mm
        grid = f"{axes.tolist()} {plane.pixel_mm} {plane.shape} {kernel} {thickness}"
        position = float(np.dot(slice_normal(plane.axes), plane.corner))
    return SeriesPart(
        file.series, file.study, frame, file.patient, folder, max(1, len(file.images)), grid, position
    )  # fmt: skip


def choose_series(catalog: SeriesCatalog, series: str | None) -> tuple[SeriesGroup, list[DicomFile], list[str]]:
    """Return one series, its files, and one line per file left out.

    Raises NotCT or NothingToRead when there is no series, MixedSeries when there are several and none was named,
    InvalidSetting when the named one is not there, and the file's own fault when the series has a bad file.
    """
    if not catalog.series:
        error_class = NotCT if catalog.dicom else NothingToRead
        raise error_class(f"{catalog.root}: no CT image found. {abbreviate(catalog.skipped)}")
    uid = _find_named_series(catalog, series) if series is not None else _find_only_series(catalog)
    other_files = [
        f"{file.path}: of another series" for other, files in catalog.series.items() if other != uid for file in files
    ]
    files = catalog.series[uid]
    faults = [file.fault for file in files if file.fault is not None]
    if faults:
        more = f" (and {len(faults) - 1} more files of this series)" if len(faults) > 1 else ""
        raise type(faults[0])(f"{faults[0]}{more}")
    return catalog.groups[uid], files, [*catalog.skipped, *other_files]


def _find_only_series(catalog: SeriesCatalog) -> str:
    """Return the only series that is CT in HU.

    Colour pictures and maps of other quantities do not count as alternatives.
    """
    in_hu = [uid for uid, files in catalog.series.items() if not all(isinstance(file.fault, NotCT) for file in files)]
    if len(in_hu) > 1:
        raise MixedSeries(
            f"{catalog.root} holds {len(in_hu)} series{_of_patients(catalog, in_hu)}; choose one with --series and its "
            "UID (as listed here) or the UID's end:\n" + listing(catalog, in_hu)
        )
    return (in_hu or list(catalog.series))[0]


def _of_patients(catalog: SeriesCatalog, uids: Iterable[str]) -> str:
    count = len({catalog.groups[uid].patient for uid in uids})
    return f" of {count} patients" if count > 1 else ""


def _find_named_series(catalog: SeriesCatalog, series: str) -> str:
    """Return the UID of the series that was named in full or by its ending."""
    if series in catalog.series:
        return series
    matches = [name for name in catalog.series if series and (name.endswith(series) or uid_of(name).endswith(series))]
    if len(matches) != 1:
        what = f"fits {len(matches)} series" if matches else "is not a series"
        raise InvalidSetting(
            f"series '{series}' {what} in {catalog.root}; there are:\n{listing(catalog, catalog.series)}"
        )
    return matches[0]


def listing(catalog: SeriesCatalog, uids: Iterable[str]) -> str:
    """Return one line per series: name, number of images, kernel, thickness and matrix.

    Where they are of several patients, or share a UID, it also says of which and where they lie. Nothing in it
    identifies the patient.
    """
    lines, uids = [], list(uids)
    patients = list(dict.fromkeys(catalog.groups[uid].patient for uid in uids))
    for uid in uids:
        files = catalog.series[uid]
        acquisition = files[0].acquisition
        (rows, columns), _ = Counter(file.shape for file in files).most_common(1)[0]
        thickness = "thickness unknown" if acquisition.thickness_mm is None else f"{acquisition.thickness_mm:g} mm"
        count = sum(max(1, len(file.images)) for file in files)
        kernel = f"kernel {shown(acquisition.kernel or 'unknown')}"
        which = f"  patient {patients.index(catalog.groups[uid].patient) + 1}" if len(patients) > 1 else ""
        where = f"  from {files[0].path.relative_to(catalog.root)}" if "@" in uid and catalog.root.is_dir() else ""
        lines.append(f"  {uid}  {count} images  {kernel}  {thickness}  {columns}x{rows}{which}{where}")
    return "\n".join(lines)


def abbreviate(lines: list[str]) -> str:
    """Return the first lines, and how many more there are."""
    more = f" ... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
