"""Small synthetic CT series in DICOM, with whatever oddity a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, config, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

Edit = Callable[[Any, int], None]


def anatomy(index: int = 0, size: int = 64, seed: int = 0) -> np.ndarray:
    """(size, size) HU: a noisy body in noisy air, whole numbers; one pixel at 3000 as a marker of orientation."""
    rng = np.random.default_rng(seed + index)
    y, x = np.mgrid[:size, :size] - size / 2
    body = np.hypot(y, x) < size / 3
    hu = np.where(body, 40.0, -985.0) + rng.normal(0, 8, (size, size))
    hu[2, 5] = 3000
    return np.rint(hu)


def header(index: int, z: float, series: str, size: int) -> Any:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.Modality, ds.Manufacturer = "CT", "MAKER"
    ds.StudyDate, ds.StudyTime = "20200102", "101112"
    ds.PatientName, ds.PatientID = "Secret^Name", "SECRET-ID"
    for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(ds, keyword, "")
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", series, "1.2.4"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 2, 1, index + 1
    ds.SeriesDescription, ds.PositionReferenceIndicator, ds.PatientPosition = "Chest", "", "HFS"
    ds.ConvolutionKernel, ds.SliceThickness, ds.KVP = "B30f", 2, 120
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-20.0, -20.0, z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SamplesPerPixel, ds.PhotometricInterpretation = [0.7, 0.7], 1, "MONOCHROME2"
    ds.Rows, ds.Columns = size, size
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    return ds


def store(ds: Any, hu: np.ndarray, order: str = "<") -> None:
    """Puts HU into a data set by its own rescale and bits."""
    stored = np.rint((hu - float(ds.RescaleIntercept)) / float(ds.RescaleSlope))
    sign, width = "i" if ds.PixelRepresentation else "u", ds.BitsAllocated // 8
    ds.PixelData = stored.astype(f"{order}{sign}{width}").tobytes()
    ds["PixelData"].VR = "OW" if width > 1 else "OB"


def save(ds: Any, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.get("SOPInstanceUID")
    meta.TransferSyntaxUID = syntax
    ds.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    with config.disable_value_validation():
        ds.preamble = b"\0" * 128
        dcmwrite(path, ds, enforce_file_format=bool(ds.get("SOPInstanceUID")))
    return path


def make_series(
    folder: Path,
    count: int = 4,
    *,
    size: int = 64,
    gap: float = 2.0,
    series: str = "1.2.3.10",
    before: Edit | None = None,
    after: Edit | None = None,
    syntax: str = ExplicitVRLittleEndian,
    name: str = "s",
) -> list[Path]:
    """Writes a series; ``before`` edits each header before the pixels are stored by it, ``after`` afterwards."""
    paths = []
    for index in range(count):
        ds = header(index, index * gap, series, size)
        if before:
            before(ds, index)
        store(ds, anatomy(index, size), ">" if syntax == ExplicitVRBigEndian else "<")
        if after:
            after(ds, index)
        paths.append(save(ds, folder / f"{name}{index:03d}.dcm", syntax))
    return paths


def make_bare(folder: Path) -> Path:
    """One file as some old exporters wrote it: implicit VR, no preamble, no meta information."""
    ds = header(0, 0.0, "1.2.3.10", 64)
    store(ds, anatomy())
    folder.mkdir(parents=True, exist_ok=True)
    dcmwrite(folder / "bare.dcm", ds, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return folder / "bare.dcm"


def make_enhanced(path: Path, count: int = 3, kind: str = "HU", per_frame: bool = True) -> Path:
    """One enhanced CT object whose frames lie in reverse order."""
    ds = header(0, 0.0, "1.2.3.20", 64)
    ds.SOPClassUID = EnhancedCTImageStorage
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "ImagePositionPatient", "PixelSpacing"):
        delattr(ds, keyword)
    del ds.ImageOrientationPatient, ds.ConvolutionKernel, ds.SliceThickness, ds.KVP
    ds.NumberOfFrames = count
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.7, 0.7], SliceThickness=2)])
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    shared.CTReconstructionSequence = Sequence([_item(ConvolutionKernel="Br40")])
    shared.CTImageFrameTypeSequence = Sequence([_item(FrameType=["ORIGINAL", "PRIMARY", "AXIAL", "NONE"])])
    if not per_frame:
        shared.PixelValueTransformationSequence = Sequence([_scale(-1024, kind)])
    pixels = b""
    for index in range(count):
        frame = Dataset()
        frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=[-20, -20, -2.0 * index])])
        intercept = -1024 - 10 * index if per_frame else -1024
        if per_frame:
            frame.PixelValueTransformationSequence = Sequence([_scale(intercept, kind)])
        frames.append(frame)
        pixels += np.rint(anatomy(index) - intercept).astype("<u2").tobytes()
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)
    ds.PixelData = pixels
    ds["PixelData"].VR = "OW"
    return save(ds, path)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _scale(intercept: float, kind: str) -> Dataset:
    return _item(RescaleSlope=1, RescaleIntercept=intercept, RescaleType=kind)


def pixels(path: Path) -> np.ndarray:
    """What pydicom alone decodes, in the machine's byte order."""
    array = dcmread(path).pixel_array
    return array.astype(array.dtype.newbyteorder("="))
