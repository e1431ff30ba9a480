"""Sound CT files to damage: one small image in every encoding of headers, and of pixels, that scanners write.

They are made from a file that comes with pydicom, always the same, so that a seed gives the same case on every machine.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import gdcm
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from experiments.robustness.mutations import Parts, cut

SIZE = 64
"""Rows and columns of the images."""
COMPRESSIONS = (
    "JPEGBaselineProcess1", "JPEGExtendedProcess2_4", "JPEGLosslessProcess14", "JPEGLosslessProcess14_1",
    "JPEGLSLossless", "JPEGLSNearLossless", "JPEG2000Lossless", "JPEG2000", "RLELossless",
)  # fmt: skip
"""GDCM's names of the transfer syntaxes that it can write."""


class Base(NamedTuple):
    """A sound file: its name, its parts, and whether these are cut by elements."""

    name: str
    parts: Parts
    by_element: bool


def header_bases() -> list[Base]:
    """Return an image in each encoding of headers, and an enhanced object of three frames."""
    bases = [Base("explicit", cut(encoded(image())), True), Base("enhanced", cut(encoded(enhanced())), True)]
    for name, syntax, pixels in (
        ("implicit", ImplicitVRLittleEndian, b"\xe0\x7f\x10\x00"),
        ("big endian", ExplicitVRBigEndian, b"\x7f\xe0\x00\x10"),
        ("deflated", DeflatedExplicitVRLittleEndian, b""),
    ):
        data = encoded(image(), syntax)
        at = data.rindex(pixels) if pixels else len(data)
        bases.append(Base(name, Parts(data[:132], [data[132:at]], data[at:]), False))
    return bases


def stream_bases() -> list[Base]:
    """Return an image uncompressed and in each compression."""
    with tempfile.TemporaryDirectory() as folder:
        images = {"native": image(), **{name: compressed(name, Path(folder)) for name in COMPRESSIONS}}
    return [Base(name, cut(encoded(ds)), True) for name, ds in images.items()]


def image(index: int = 0) -> Any:
    """Return a slice of SIZE x SIZE pixels; slices of other ``index`` are its neighbours."""
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    for tag in [element.tag for element in ds if element.tag.is_private or element.tag.group > 0x7FE0]:
        if index % 2:
            del ds[tag]  # one of two has private elements
    pixels = ds.pixel_array[index : index + SIZE, :SIZE]
    ds.Rows, ds.Columns, ds.PixelData = SIZE, SIZE, pixels.astype("<i2").tobytes()
    ds.InstanceNumber, ds.SOPInstanceUID = index + 1, f"{ds.SOPInstanceUID}.{index}"
    ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], float(ds.ImagePositionPatient[2]) + 5 * index]
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def enhanced(frames: int = 3) -> Any:
    """Return an enhanced object whose frames have a slope each."""
    ds, shared, per_frame = image(), Dataset(), []
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared.PixelMeasuresSequence = _group(ds, "PixelSpacing", "SliceThickness")
    shared.PlaneOrientationSequence = _group(ds, "ImageOrientationPatient")
    for index in range(frames):
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], float(ds.ImagePositionPatient[2]) + 5]
        ds.RescaleSlope, ds.RescaleType = 1 + 0.5 * index, "HU"
        frame = Dataset()
        frame.PlanePositionSequence = _group(ds, "ImagePositionPatient")
        frame.PixelValueTransformationSequence = _group(ds, "RescaleSlope", "RescaleIntercept", "RescaleType")
        per_frame.append(frame)
    for keyword in (
        "PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope",
        "RescaleIntercept", "RescaleType",
    ):  # fmt: skip
        delattr(ds, keyword)
    ds.NumberOfFrames, ds.PixelData = frames, ds.PixelData * frames
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(per_frame)
    return ds


def compressed(name: str, folder: Path) -> Any:
    """Return the image with its pixels compressed by GDCM; twelve-bit JPEG and eight-bit JPEG of as many bits."""
    ds = image()
    eight = name == "JPEGBaselineProcess1"
    values = ds.pixel_array.clip(0, 4095) // (16 if eight else 1)
    ds.BitsAllocated, ds.BitsStored, ds.PixelRepresentation = (8, 8, 0) if eight else (16, 12, 0)
    ds.HighBit, ds.PixelData = ds.BitsStored - 1, values.astype("u1" if eight else "<u2").tobytes()
    for keyword in ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in ds:
            del ds[keyword]
    plain, packed = folder / "plain.dcm", folder / f"{name}.dcm"
    plain.write_bytes(encoded(ds))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    if not reader.Read():
        raise RuntimeError(f"GDCM cannot read {plain}")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError(f"GDCM cannot write {name}")
    writer.SetFileName(str(packed))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError(f"GDCM cannot write {packed}")
    made = dcmread(packed)
    ds.file_meta.TransferSyntaxUID, ds.PixelData = made.file_meta.TransferSyntaxUID, made.PixelData
    ds["PixelData"].VR = "OB"
    return ds


def encoded(ds: Any, syntax: str | None = None) -> bytes:
    """Return the bytes of a file."""
    ds, file = deepcopy(ds), BytesIO()
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = ds.pixel_array.astype(">i2").tobytes()
    ds.file_meta.TransferSyntaxUID = syntax or ds.file_meta.TransferSyntaxUID or ExplicitVRLittleEndian
    dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def _group(ds: Any, *keywords: str) -> Sequence:
    item = Dataset()
    for keyword in keywords:
        item[keyword] = deepcopy(ds[keyword])
    return Sequence([item])
