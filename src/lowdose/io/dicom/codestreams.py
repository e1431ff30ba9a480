"""What a compressed frame states of itself: JPEG, JPEG-LS and JPEG 2000.

Some decoders end the whole process when it is not what they were told, so that it is compared before they are called.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

JPEG_START, JPEG_2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
SCAN, END = 0xDA, 0xD9
"""JPEG markers of a scan, before which the size must have been stated, and of the end."""
FIRST_SEGMENT, WITHOUT_LENGTH = 0xC0, range(0xD0, 0xDA)
"""First marker that begins a segment, and markers that stand alone: none of these comes before a scan."""
NOT_FRAMES = (0xC4, 0xC8, 0xCC)
"""Markers among those of frame headers that are none."""
JPEG_LS_FRAME = 0xF7


@dataclass(frozen=True)
class FrameHeader:
    """Size of a compressed frame: rows, columns, components (colours), and bits of a pixel; all 0 if none is stated."""

    rows: int = 0
    columns: int = 0
    components: int = 0
    bits: int = 0


def read_frame_header(file: BinaryIO) -> FrameHeader | None:
    """Return what the stream at the position of ``file`` states, None when no stream that is known begins there."""
    start = file.read(4)
    try:
        if start == JPEG_2000_START:
            return _jpeg_2000(file)
        if start[:2] == JPEG_START:
            file.seek(-2, 1)
            return _jpeg(file)
    except struct.error:  # the file ends
        return FrameHeader()
    return None


def _jpeg(file: BinaryIO) -> FrameHeader:
    """Follow the segments up to the first scan; nothing is stated where one does not begin as segments do."""
    stated = FrameHeader()
    while True:
        prefix, marker = struct.unpack(">BB", file.read(2))
        while marker == 0xFF:  # fill bytes
            (marker,) = file.read(1) or (END,)
        if (prefix, marker) == (0xFF, SCAN):
            return stated
        if prefix != 0xFF or marker < FIRST_SEGMENT or marker in WITHOUT_LENGTH:
            return FrameHeader()
        (length,) = struct.unpack(">H", file.read(2))
        following = file.tell() + length - 2
        if marker == JPEG_LS_FRAME or (0xC0 <= marker <= 0xCF and marker not in NOT_FRAMES):
            bits, rows, columns, components = struct.unpack(">BHHB", file.read(6))
            stated = FrameHeader(rows, columns, components, bits)
        file.seek(following)


def _jpeg_2000(file: BinaryIO) -> FrameHeader:
    """Read the SIZ segment, of which the size is the extent of the grid less the image's offset in it."""
    _, _, right, bottom, left, top, _, _, _, _, components, bits = struct.unpack(">HHIIIIIIIIHB", file.read(39))
    return FrameHeader(bottom - top, right - left, components, (bits & 0x7F) + 1)
