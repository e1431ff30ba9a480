"""Find the series of an archive: headers are read folder by folder, and only names of folders are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lowdose.archive.ledger import key_of
from lowdose.errors import LowDoseError
from lowdose.io.dicom.header import DicomFile, read_header
from lowdose.io.dicom.open_file import NotACtSlice
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.series_catalog import part_of
from lowdose.io.dicom.series_identity import SeriesPart, group_parts, merged
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import is_other_format
from lowdose.io.messages import printable, reason
from lowdose.io.source import Rescale


@dataclass
class ArchiveSeries:
    """One series: its name, the folders, relative to the archive, that hold files of it, and the number of its images.

    The name is the SeriesInstanceUID, with an addition where that does not tell series apart
    (``io.dicom.series_identity.SeriesGroup``).
    """

    uid: str
    folders: list[str] = field(default_factory=list)
    images: int = 0

    @property
    def key(self) -> str:
        """Name of the series in the ledger."""
        return key_of(self.uid, self.folders[0])


def folders_with_files(root: Path) -> Iterator[dict[str, str]]:
    """Yield every folder from ``root`` down that holds files, as a row for ``series_in_folder``."""
    for folder, _, files in walk_folders(root):
        if files:
            yield {"root": str(root), "folder": str(folder.relative_to(root))}


def series_in_folder(row: dict[str, str], rescale: Rescale | None = None) -> list[dict[str, Any]]:
    """List a row for each series with files directly in the folder, and one for unreadable and other files.

    ``rescale`` is for images that do not state their slope and intercept.

    An unreadable file that may be a slice quarantines nothing here: opening a series of this folder meets it again,
    and refuses to leave out what may be a slice of the body.
    """
    folder = Path(row["root"]) / row["folder"]
    files, faults, others = list[DicomFile](), list[str](), 0
    with suppress_pydicom_warnings():
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            others += is_other_format(path)
            try:
                files.append(read_header(path, rescale))
            except NotACtSlice:
                continue
            except (LowDoseError, OSError) as error:
                faults.append(printable(reason(error).replace(f"{row['root']}/", "")))
    place = row["folder"]
    rows = [
        {**asdict(part), "fault": "", "others": 0}
        for part in merged([part_of(file, Path(row["root"])) for file in files])
    ]
    fault = faults[0] if faults and not files else ""
    nothing = asdict(SeriesPart("", "", "", "", place, images=0))
    return [*rows, {**nothing, "fault": fault, "others": others}] if fault or others else rows


@dataclass
class ArchiveContents:
    """What an archive holds.

    Attributes
    ----------
    series : dict
        Name of a series -> the series.
    faults : dict
        Folder -> why nothing in it could be read.
    others : int
        Number of files of other formats.
    """

    series: dict[str, ArchiveSeries] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    others: int = 0

    @classmethod
    def of(cls, rows: Iterable[dict[str, Any]]) -> ArchiveContents:
        """Collect the rows of all folders, in any order; series are told apart as ``lowdose denoise`` does."""
        contents = cls()
        parts = []
        for row in sorted(rows, key=lambda row: (row["series"], row["folder"])):
            if row["fault"] or row["others"]:
                contents.others += row["others"]
                if row["fault"]:
                    contents.faults[row["folder"]] = row["fault"]
                continue
            parts.append(SeriesPart(**{field.name: row[field.name] for field in fields(SeriesPart)}))
        folders: dict[str, set[str]] = defaultdict(set)
        for part in parts:
            folders[part.series].add(part.folder)
        for group in group_parts(parts):
            members = [parts[index] for index in group.parts]
            # A worker that knows all folders of a UID groups their files as they were grouped here.
            places = {place for part in members for place in (folders[part.series] if part.series else (part.folder,))}
            images = sum(part.images for part in members)
            contents.series[group.name] = ArchiveSeries(group.name, sorted(places), images)
        return contents
