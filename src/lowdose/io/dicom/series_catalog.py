"""What lies under a path: every CT slice found, grouped into series, and the one series that was asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lowdose.errors import CannotDecode, InvalidSetting, MixedSeries, NotCT, NothingToRead
from lowdose.io.dicom.header import DicomFile, read_header
from lowdose.io.dicom.open_file import NotACtSlice
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.folder_tree import walk_folders
from lowdose.io.messages import reason

SHOWN = 3
"""How many files an error names; the rest are counted."""


@dataclass(frozen=True)
class SeriesCatalog:
    """All CT slices under a path by series, and one line per file left out. dicom: any of those is DICOM."""

    root: Path
    series: dict[str, list[DicomFile]]
    skipped: list[str]
    dicom: bool


def scan_path(root: Path) -> SeriesCatalog:
    """Reads every header under a folder, or of one file.

    Raises NothingToRead when there is nothing at all, CannotDecode when something cannot be opened or a file is cut
    short before it says which series it is of: leaving out a slice of the body would be worse than stopping.
    """
    if not root.exists():
        raise NothingToRead(f"{root}: no such file or folder")
    paths = [root] if root.is_file() else [file for _, _, files in walk_folders(root) for file in files]
    if not paths:
        raise NothingToRead(f"{root}: the folder is empty")
    return read_headers(root, paths)


def read_headers(root: Path, paths: Iterable[Path]) -> SeriesCatalog:
    """The same of these files; ``root`` is for messages."""
    series: dict[str, list[DicomFile]] = defaultdict(list)
    skipped: list[str] = []
    dicom = False
    with suppress_pydicom_warnings():
        for path in paths:
            if path.exists() and not path.is_file():  # opening a pipe would wait for ever
                skipped.append(f"{path}: not a regular file")
                continue
            try:
                file = read_header(path)
                series[file.series].append(file)
            except NotACtSlice as left:
                dicom |= left.dicom
                skipped.append(f"{path}: {left}")
            except OSError as error:
                why = reason(error)
                raise CannotDecode(f"{path}: cannot be opened ({why}); make it readable or move it away") from error
    return SeriesCatalog(root, dict(series), skipped, dicom)


def choose_series(catalog: SeriesCatalog, series: str | None) -> tuple[list[DicomFile], list[str]]:
    """The files of one series, and one line per file left out.

    Raises NotCT or NothingToRead when there is none, MixedSeries when there are several and none was named,
    InvalidSetting when the named one is not there, and a file's own fault when the chosen series has a bad file.
    """
    if not catalog.series:
        kind = NotCT if catalog.dicom else NothingToRead
        raise kind(f"{catalog.root}: no CT image found. {abbreviate(catalog.skipped)}")
    uid = _named(catalog, series) if series is not None else _only(catalog)
    left = [
        f"{file.path}: of another series" for other, files in catalog.series.items() if other != uid for file in files
    ]
    files = catalog.series[uid]
    faults = [file.fault for file in files if file.fault is not None]
    if faults:
        more = f" (and {len(faults) - 1} more files of this series)" if len(faults) > 1 else ""
        raise type(faults[0])(f"{faults[0]}{more}")
    return files, [*catalog.skipped, *left]


def _only(catalog: SeriesCatalog) -> str:
    """The series, when one only is CT in HU: colour pictures and maps of other quantities are no rivals to it."""
    in_hu = [uid for uid, files in catalog.series.items() if not all(isinstance(file.fault, NotCT) for file in files)]
    if len(in_hu) > 1:
        raise MixedSeries(
            f"{catalog.root} holds {len(in_hu)} series; choose one with --series and its UID or the UID's end:\n"
            + listing(catalog, in_hu)
        )
    return (in_hu or list(catalog.series))[0]


def _named(catalog: SeriesCatalog, series: str) -> str:
    if series in catalog.series:
        return series
    ending = [uid for uid in catalog.series if series and uid.endswith(series)]
    if len(ending) != 1:
        what = f"fits {len(ending)} series" if ending else "is not a series"
        raise InvalidSetting(
            f"series '{series}' {what} in {catalog.root}; there are:\n{listing(catalog, catalog.series)}"
        )
    return ending[0]


def listing(catalog: SeriesCatalog, uids: Iterable[str]) -> str:
    """One line per series: UID, number of images, kernel, thickness, matrix. Nothing that tells who the patient is."""
    lines = []
    for uid in uids:
        files = catalog.series[uid]
        made = files[0].acquisition
        (rows, columns), _ = Counter(file.shape for file in files).most_common(1)[0]
        thickness = "thickness unknown" if made.thickness_mm is None else f"{made.thickness_mm:g} mm"
        count = sum(max(1, len(file.images)) for file in files)
        kernel = f"kernel {made.kernel or 'unknown'}"
        lines.append(f"  {uid or '(no UID)'}  {count} images  {kernel}  {thickness}  {columns}x{rows}")
    return "\n".join(lines)


def abbreviate(lines: list[str]) -> str:
    """The first lines, and how many more there are."""
    more = f" ... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
