"""Compressed frames that are not what their header says are refused before a decoder sees them."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from lowdose.errors import CannotDecode
from lowdose.io.dicom.codestreams import FrameHeader, read_frame_header
from lowdose.io.dicom.series import DicomSource
from support.synthetic_dicom import make_series, save

SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def frame(rows: int, columns: int, bits: int, marker: int = 0xC3, components: int = 1) -> bytes:
    return segment(marker, struct.pack(">BHHB", bits, rows, columns, components) + b"\1\x11\0" * components)


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xF7])
def test_the_size_of_a_jpeg_is_found_behind_other_segments(marker: int) -> None:
    stream = jpeg(segment(0xE0, b"JFIF" * 300), b"\xff\xff", segment(0xC4, b"\0" * 9), frame(3, 5, 12, marker), SCAN)
    assert read_frame_header(BytesIO(stream)) == FrameHeader(3, 5, 1, 12)


@pytest.mark.parametrize(
    "stream",
    [
        jpeg(SCAN),
        jpeg(b"\xff\xd9"),
        jpeg(frame(3, 5, 12)),
        jpeg(frame(3, 5, 12), b"\x7f\xc4\x00\x02", SCAN),
        jpeg(frame(3, 5, 12), b"\xff\x01\x00\x02", SCAN),
        jpeg(frame(3, 5, 12), b"\xff\xd0\x00\x02", SCAN),
        jpeg(segment(0xE0, b"x"), b"\xff"),
        b"\xff\x4f\xff\x51\x00\x29",
    ],
)
def test_a_stream_that_is_broken_before_its_scan_states_nothing(stream: bytes) -> None:
    assert read_frame_header(BytesIO(stream)) == FrameHeader()


def test_what_is_no_stream_is_left_to_the_decoder() -> None:
    assert read_frame_header(BytesIO(b"\0\0\0\x0cjP  \r\n")) is None
    assert read_frame_header(BytesIO(b"")) is None


def compressed(folder: Path, syntax: str, stream: bytes, **changed: Any) -> Path:
    """Return an image of 64 x 64 pixels whose pixels are replaced by a stream."""
    ds = dcmread(make_series(folder, 1)[0])
    for keyword, value in changed.items():
        setattr(ds, keyword, value)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    return save(ds, folder / "s000.dcm", syntax)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless])
@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (jpeg(frame(64, 32, 12), SCAN), "compressed pixels are 32x64 of 12 bits and 1 colours, its header says 64x64"),
        (jpeg(frame(64, 64, 8, components=3), SCAN), "64x64 of 8 bits and 3 colours"),
        (jpeg(frame(64, 64, 17), SCAN), "64x64 of 17 bits"),
        (jpeg(frame(64, 64, 12), b"\0\0", SCAN), "damaged and state no size; copy or export it again"),
    ],
)
def test_a_stream_of_another_size_than_its_header_is_refused(tmp_path, syntax, stream, told):
    with pytest.raises(CannotDecode, match=told):
        DicomSource(compressed(tmp_path, syntax, stream))


def test_a_jpeg_2000_stream_of_another_size_than_its_header_is_refused(tmp_path):
    ds = dcmread(make_series(tmp_path / "in", 1)[0])
    ds.compress(JPEG2000Lossless)
    (stream,) = generate_frames(ds.PixelData, number_of_frames=1)
    assert read_frame_header(BytesIO(stream)) == FrameHeader(64, 64, 1, 12)
    DicomSource(compressed(tmp_path, JPEG2000Lossless, stream)).read(0)
    with pytest.raises(CannotDecode, match="64x64 of 12 bits and 1 colours, its header says 64x32"):
        DicomSource(compressed(tmp_path, JPEG2000Lossless, stream, Rows=32))
