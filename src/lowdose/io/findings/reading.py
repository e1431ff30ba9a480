"""Reading of findings in any format, which the content of a file decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lowdose.errors import CannotDecode, LowDoseError, NothingToRead
from lowdose.io.findings.finding import Findings
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import Kind, check_input, kind_of
from lowdose.io.messages import counted, reason

KNOWN = (
    "COCO JSON (object detection), DICOM segmentations and structure sets, the XML of LIDC-IDRI, the table of "
    "DeepLesion (DL_info.csv), and NIfTI masks"
)
"""Formats that are read, for messages."""
START = 4096
"""Characters at the beginning of a text file by which its format is recognised."""

LIDC_TAG = "<LidcReadMessage"
"""Beginning of what LIDC's readers wrote."""
DEEP_LESION_COLUMNS = ("File_name", "Bounding_boxes")
"""Columns by which DeepLesion's table is recognised."""

Reader = Callable[[Path], Findings]


def read_findings(path: Path) -> Findings:
    """Read the findings of a file, or of all files of findings below a folder, in any of the formats of ``KNOWN``.

    What a file is, its content decides. Other files of a folder are passed over. Raises NothingToRead when there is no
    finding, and CannotDecode for a damaged file, or one of another format.

    Examples
    --------
    ``placement.place_findings`` tells the slices and pixels of the findings in an open series::

        found = read_findings(Path("lesions.json"))
        with open_source(Path("SERIES")) as source:
            for finding in place_findings(found.findings, series_slices(source)):
                for index, part in finding.parts:
                    print(finding.label, index, part.box)
    """
    check_input(path)
    if path.is_dir():
        return _of_folder(path)
    reader = _reader_of(path)
    if reader is None:
        raise CannotDecode(f"{path}: no file of findings that can be read; they are read from {KNOWN}")
    found = reader(path)
    if not found.findings:
        raise NothingToRead(f"{path}: holds no finding{_why(found)}")
    return found


def _of_folder(folder: Path) -> Findings:
    read = list[Findings]()
    for _, _, files in walk_folders(folder):
        for file in files:
            reader = _reader_in_folder(file)
            if reader is None:
                continue
            read.append(reader(file))
    if not read:
        raise NothingToRead(f"{folder}: holds no file of findings; they are read from {KNOWN}")
    found = Findings(
        folder, [one for each in read for one in each.findings], [one for each in read for one in each.left_out]
    )
    if not found.findings:
        raise NothingToRead(f"{folder}: no finding in {counted(len(read), 'file')} of findings{_why(found)}")
    return found


def _why(found: Findings) -> str:
    return f" ({found.left_out[0]})" if found.left_out else ""


def _reader_in_folder(path: Path) -> Reader | None:
    """Return the reader of a file of a folder; None for what is no file of findings, images among them."""
    from lowdose.io.findings.nifti_mask import is_mask

    try:
        check_input(path)
        reader = _reader_of(path)
        return reader if kind_of(path) is not Kind.NIFTI or is_mask(path) else None
    except LowDoseError:  # pictures, empty files and links to nowhere
        return None


def _reader_of(path: Path) -> Reader | None:
    """Return the function that reads a file of findings, or None."""
    kind = kind_of(path)
    if kind is Kind.NIFTI:
        from lowdose.io.findings.nifti_mask import read_nifti_mask

        return read_nifti_mask
    if kind is Kind.DICOM:
        from lowdose.io.findings.dicom_objects import is_findings_object, read_dicom_findings

        return read_dicom_findings if is_findings_object(path) else None
    return _reader_of_text(path) if kind is Kind.OTHER else None


def _reader_of_text(path: Path) -> Reader | None:
    start = read_text(path, START).lstrip()
    if start.startswith("{"):
        from lowdose.io.findings.coco import is_coco, read_coco

        return read_coco if is_coco(path) else None
    if LIDC_TAG in start:
        from lowdose.io.findings.lidc import read_lidc

        return read_lidc
    if all(column in start.partition("\n")[0] for column in DEEP_LESION_COLUMNS):
        from lowdose.io.findings.deep_lesion import read_deep_lesion

        return read_deep_lesion
    return None


def read_text(path: Path, most: int = -1) -> str:
    """Return the text of a file, or its beginning of at most so many characters. Raises CannotDecode."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(most)
    except OSError as error:
        raise CannotDecode(f"{path}: cannot be opened ({reason(error)}); make it readable") from error


def read_json(path: Path) -> object:
    """Return the content of a JSON file. Raises CannotDecode."""
    try:
        content: object = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise CannotDecode(f"{path}: no valid JSON ({reason(error)}); export it again") from error
    return content
