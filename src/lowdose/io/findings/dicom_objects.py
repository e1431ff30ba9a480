"""DICOM objects that hold findings, DICOM segmentations and radiotherapy structure sets: which one a file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from lowdose.errors import CannotDecode, LowDoseError
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.findings.dicom_seg import segment_findings
from lowdose.io.findings.finding import Findings
from lowdose.io.findings.rtstruct import contour_findings
from lowdose.io.messages import reason

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
"""SOP class of segmentations as label maps, which is newer than pydicom's dictionary."""
READERS: dict[str, Callable[[Path, Any], Findings]] = {
    SegmentationStorage: segment_findings,
    LABEL_MAP_STORAGE: segment_findings,
    RTStructureSetStorage: contour_findings,
}
"""SOP class -> function that reads its findings."""


def is_findings_object(path: Path) -> bool:
    """Return whether a DICOM file is a segmentation or a structure set, which its SOP class says."""
    with _damage_named(path):
        return _sop_class(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])) in READERS


def read_dicom_findings(path: Path) -> Findings:
    """Read the findings of a segmentation or a structure set. Raises CannotDecode for a damaged one."""
    with _damage_named(path):
        dataset = pydicom.dcmread(path)
        return READERS[_sop_class(dataset)](path, dataset)


def _sop_class(dataset: Any) -> str:
    return str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises for a damaged file into CannotDecode."""
    try:
        with suppress_pydicom_warnings():
            yield
    except LowDoseError:
        raise
    except Exception as error:  # broken nested headers raise errors of many types
        raise CannotDecode(f"{path}: damaged or incomplete ({reason(error)}); export it again") from error
