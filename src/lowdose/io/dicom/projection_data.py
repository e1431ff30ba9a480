"""Recognition of projection data (DICOM-CT-PD), which the Mayo collections hold beside the images."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings

PROJECTION_GROUP = 0x7031
"""Private group of the scan geometry in DICOM-CT-PD (Chen et al., Med. Phys. 42:6964, 2015)."""


def is_projection(path: Path) -> bool:
    """Return whether a readable DICOM file holds projection data (DICOM-CT-PD).

    Such a file claims to be a CT image, but is none.
    """
    try:
        with suppress_pydicom_warnings():
            header = dcmread(path, stop_before_pixels=True)
    except Exception:  # pydicom raises errors of many types; the reader reports such a file
        return False
    return any(tag.group == PROJECTION_GROUP for tag in header.keys())  # noqa: SIM118 (keys are tags, items elements)
