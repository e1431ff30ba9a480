"""Writer of a volume as a new CT series, for phantoms and other images that no scanner made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from lowdose.errors import OutputRefused
from lowdose.image import HU, Acquisition, Geometry
from lowdose.io.atomic import AtomicFolder, output_errors
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.rescale import to_stored
from lowdose.io.dicom.save import save

INTERCEPT = -1024
"""Rescale intercept in HU."""
EMPTY = ("AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "PatientSex", "StudyID", "Laterality")
"""Attributes that a CT image must have, if only empty."""
LOWEST, HIGHEST = -32768, 32767


class RegularVolume(Protocol):
    """Stack of slices on one grid; ``hu`` is (z, y, x) float32 in HU."""

    @property
    def hu(self) -> HU:
        """Pixel values, (z, y, x) float32 in HU."""
        ...

    @property
    def geometry(self) -> Geometry:
        """Grid of the volume."""
        ...

    @property
    def acquisition(self) -> Acquisition:
        """Acquisition that the headers state."""
        ...


def write_new_series(
    volume: RegularVolume,
    folder: Path,
    *,
    description: str,
    patient: str = "PHANTOM",
    series_number: int = 1,
    study_uid: str | None = None,
    frame_uid: str | None = None,
    companions: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write one CT Image Storage object per slice into a new folder, which appears complete or not at all.

    Pixels are int16 with slope 1 and intercept -1024 HU. Series with the same ``study_uid`` and ``frame_uid`` lie in
    one study and one frame of reference. ``companions``: content by name of other files for the folder. Raises
    OutputRefused.
    """
    if not np.isfinite(volume.hu).all():
        raise OutputRefused(f"{folder}: the volume holds NaN or infinity; nothing was written")
    common = _common_header(volume, description, patient, datetime.now())
    common.SeriesNumber = series_number
    common.StudyInstanceUID, common.SeriesInstanceUID = study_uid or new_uid(), new_uid()
    common.FrameOfReferenceUID = frame_uid or new_uid()
    target = AtomicFolder(folder)
    target.open()
    try:
        for index in range(len(volume.hu)):
            header = _slice_header(common, volume, index)
            stored = to_stored(volume.hu[index], 1.0, INTERCEPT, LOWEST, HIGHEST).astype("<i2")
            with output_errors(folder), suppress_pydicom_warnings():
                save(header, stored.tobytes(), target.path / f"{index + 1:05d}.dcm")
        for name, data in companions.items():
            with output_errors(folder):
                (target.path / name).write_bytes(data)
        target.commit()
    finally:
        target.discard()


def _common_header(volume: RegularVolume, description: str, patient: str, now: datetime) -> Any:
    """Return the attributes that all images of the series share."""
    header, acquisition = Dataset(), volume.acquisition
    header.SpecificCharacterSet = "ISO_IR 192"
    header.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    header.SOPClassUID = CTImageStorage
    header.Modality = "CT"
    for name in ("Study", "Series", "Acquisition", "Content", "InstanceCreation"):
        setattr(header, f"{name}Date", now.strftime("%Y%m%d"))
        setattr(header, f"{name}Time", now.strftime("%H%M%S.%f"))
    header.PatientName, header.PatientID = patient, patient
    header.SeriesDescription = description[:64]
    header.Manufacturer = acquisition.manufacturer or "lowdose"
    header.ConvolutionKernel = acquisition.kernel or "NONE"
    header.SliceThickness = volume.geometry.spacing[0] if acquisition.thickness_mm is None else acquisition.thickness_mm
    header.KVP = acquisition.kvp
    for keyword in EMPTY:
        setattr(header, keyword, "")
    header.PatientPosition, header.PositionReferenceIndicator = "HFS", ""
    header.AcquisitionNumber = 1
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = volume.hu.shape[1:]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, INTERCEPT, "HU"
    header.WindowCenter, header.WindowWidth = 40, 400
    return header


def _slice_header(common: Any, volume: RegularVolume, index: int) -> Any:
    """Return the header of one slice."""
    geometry = volume.geometry
    step, down, right = (np.array(axis) for axis in geometry.direction)
    header = Dataset()
    header.update(common)
    header.SOPInstanceUID = new_uid()
    header.InstanceNumber = index + 1
    corner = np.array(geometry.origin) + index * geometry.spacing[0] * step
    header.ImagePositionPatient = [_decimal(value) for value in corner]
    header.ImageOrientationPatient = [_decimal(value) for value in (*right, *down)]
    header.SliceLocation = _decimal(float(corner @ step))
    header.PixelSpacing = [_decimal(value) for value in geometry.spacing[1:]]
    return header


def _decimal(value: float) -> str:
    """Return a number as a decimal string of at most 16 characters."""
    return f"{value:.9g}"
