"""Stored pixel values of one DICOM frame: read directly when uncompressed, else through a decoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEG2000, UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit

from lowdose.errors import CannotDecode
from lowdose.image import Mask
from lowdose.io.dicom.codestreams import FrameHeader, read_frame_header
from lowdose.io.dicom.deflated import plain_file
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.rescale import StoredPixels
from lowdose.io.messages import shown

PIXEL_DATA = b"\xe0\x7f\x10\x00"
WAY_OUT = "decompress it first, for example with 'dcmdjpeg' or 'gdcmconv --raw'"
"""Advice for pixels that cannot be decoded."""
UNKNOWN_SYNTAXES = {
    "1.2.840.10008.1.2.4.110": ("JPEG XL Lossless", "decompress it first, for example with dcm4che's 'dcm2dcm'"),
    "1.2.840.10008.1.2.4.111": ("JPEG XL of a JPEG", "decompress it first, for example with dcm4che's 'dcm2dcm'"),
    "1.2.840.10008.1.2.4.112": ("JPEG XL", "decompress it first, for example with dcm4che's 'dcm2dcm'"),
    "1.2.840.113619.5.2": ("GE's private big-endian syntax", "convert it first, for example with 'gdcmconv --raw'"),
}
"""Name and advice for transfer syntaxes that pydicom does not know."""
PREFERRED = dict.fromkeys((JPEG2000, JPEG2000Lossless), "pylibjpeg")
"""pydicom's name of the decoder for a syntax: GDCM ends the process on some damaged streams of JPEG 2000."""
ELSE_OUT = "export the images again as Explicit VR Little Endian, uncompressed"
FLOAT_PIXELS = {
    b"\xe0\x7f\x08\x00": "FloatPixelData",
    b"\x7f\xe0\x00\x08": "FloatPixelData",
    b"\xe0\x7f\x09\x00": "DoubleFloatPixelData",
    b"\x7f\xe0\x00\x09": "DoubleFloatPixelData",
}
"""Tags, in either byte order, of pixels that are no integers."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How one file stores its frames.

    Attributes
    ----------
    frames, rows, columns : int
        Number of frames and their size.
    allocated, bits, high_bit : int
        BitsAllocated, BitsStored and HighBit.
    signed : bool
        Whether stored values are signed.
    syntax : UID
        Transfer syntax.
    little_endian : bool
        Byte order.
    offset : int or None
        Byte at which native pixels begin, counted in a deflated file from the start of the inflated data. None when the
        pixels are compressed and need a decoder.
    """

    frames: int
    rows: int
    columns: int
    allocated: int
    bits: int
    high_bit: int
    signed: bool
    syntax: UID
    little_endian: bool
    offset: int | None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of a pixel in the file, with its byte order."""
        return np.dtype(f"{'<' if self.little_endian else '>'}{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number that a pixel can hold."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    @property
    def frame_bytes(self) -> int:
        """Size of one uncompressed frame in bytes."""
        return self.rows * self.columns * self.allocated // 8

    def values(self, stored: StoredPixels) -> StoredPixels:
        """Return the pixel values alone: drop the bits above the high bit and extend the sign."""
        left_shift, right_shift = self.allocated - 1 - self.high_bit, self.allocated - self.bits
        return stored if not (left_shift or right_shift) else (stored << left_shift) >> right_shift

    def replace_values(self, stored: StoredPixels, where: Mask, values: StoredPixels) -> StoredPixels:
        """Return stored pixels in which those of the mask ``where`` have other ``values``, which lie within ``limits``.

        All three are (rows, columns). Bits beside the value, as those of an overlay, stay as they are, but for those
        that extend the sign.
        """
        shift = self.high_bit + 1 - self.bits
        replaced = (values << shift if shift else values).astype(stored.dtype)
        if self.bits < self.allocated:
            own_bits = np.array(((1 << self.bits) - 1) << shift, f"u{stored.dtype.itemsize}").view(stored.dtype)
            beside = (stored & ~own_bits) | (replaced & own_bits)
            extends = self._extends_sign(stored)
            replaced = beside if extends is None else np.where(extends, replaced, beside)
        return np.where(where, replaced, stored)

    def _extends_sign(self, stored: StoredPixels) -> Mask | None:
        """Return in which pixels the bits above the value extend its sign; None if most negative values do without."""
        if not self.signed or self.high_bit + 1 != self.bits:
            return None
        values = self.values(stored)
        extended, negative = values == stored, values < 0
        usual = not negative.any() or extended[negative].mean() > 0.5
        return np.asarray(extended) if usual else None


def locate(file: BinaryIO, implicit: bool, little: bool) -> tuple[int, int] | None:
    """Return (first byte, stated length) of the pixel data whose element starts at the position of ``file``.

    None when there are no pixels.
    """
    order = "<" if little else ">"
    tag_and_length = file.read(8 if implicit else 12)
    tag = PIXEL_DATA if little else b"\x7f\xe0\x00\x10"
    if len(tag_and_length) < (8 if implicit else 12) or tag_and_length[:4] != tag:
        return None
    return file.tell(), int(struct.unpack(order + "I", tag_and_length[-4:])[0])


def check_native(path: Path, form: PixelFormat, frames: int, present: int) -> None:
    """Raise CannotDecode when fewer bytes are present than the frames need."""
    needed = form.frame_bytes * frames
    if present < needed:
        raise CannotDecode(
            f"{path}: truncated, {present} of {needed} bytes of pixels are there; copy or export this file again"
        )


def check_encapsulated(path: Path, file: BinaryIO, form: PixelFormat) -> None:
    """Check that the fragments of compressed pixel data are complete, and of the size that the header states.

    Raises CannotDecode when the file ends inside a fragment, has fewer fragments than frames, or states another size.
    """
    end, fragments = path.stat().st_size, -1  # the first item is the offset table
    while True:
        tag_and_length = file.read(8)
        if len(tag_and_length) == 8 and tag_and_length[:4] == b"\xfe\xff\xdd\xe0":
            break
        length = struct.unpack("<I", tag_and_length[4:])[0] if len(tag_and_length) == 8 else 0
        if len(tag_and_length) < 8 or tag_and_length[:4] != b"\xfe\xff\x00\xe0" or file.tell() + length > end:
            raise CannotDecode(f"{path}: truncated inside its compressed pixels; copy or export this file again")
        if fragments >= 0:
            at = file.tell()
            check_stream(path, read_frame_header(file), form)
            file.seek(at)
        file.seek(length, 1)
        fragments += 1
    if fragments < form.frames:
        raise CannotDecode(
            f"{path}: the header says {form.frames} frames, {fragments} are there; copy or export it again"
        )


def check_stream(path: Path, stream: FrameHeader | None, form: PixelFormat) -> None:
    """Raise CannotDecode when a compressed frame is not of the size that the header states."""
    if stream is None or (
        (stream.rows, stream.columns, stream.components) == (form.rows, form.columns, 1)
        and 1 < stream.bits <= form.allocated <= 16
    ):
        return
    if stream == FrameHeader():
        raise CannotDecode(f"{path}: its compressed pixels are damaged and state no size; copy or export it again")
    raise CannotDecode(
        f"{path}: its compressed pixels are {stream.columns}x{stream.rows} of {stream.bits} bits and "
        f"{stream.components} colours, its header says {form.columns}x{form.rows} of {form.allocated} bits allocated; "
        "copy or export it again"
    )


def check_known(path: Path, syntax: UID) -> None:
    """Raise CannotDecode, with the UID, for a transfer syntax of which nothing is known."""
    if syntax in UNKNOWN_SYNTAXES:
        name, way_out = UNKNOWN_SYNTAXES[syntax]
        raise CannotDecode(
            f"{path}: pixels are compressed as {name} ({syntax}), which cannot be decoded here; {way_out}"
        )
    if not syntax.is_transfer_syntax:
        kind = "a private" if syntax.is_private else "an unknown"
        raise CannotDecode(
            f"{path}: {kind} transfer syntax ({shown(syntax)}), which cannot be decoded here; {ELSE_OUT}"
        )


def check_integers(path: Path, file: BinaryIO) -> None:
    """Raise CannotDecode when the element at the position of ``file``, which stays, holds floating-point pixels."""
    at = file.tell()
    name = FLOAT_PIXELS.get(file.read(4))
    file.seek(at)
    if name is not None:
        raise CannotDecode(
            f"{path}: the pixels are floating-point numbers ({name}), which no CT image holds; convert the series "
            "first, for example with 'dcm2niix' to NIfTI"
        )


def check_decodable(path: Path, syntax: UID, bits: int) -> None:
    """Raise CannotDecode when no installed decoder reads this compression."""
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available or (syntax == JPEGExtended12Bit and bits > 8):
        name = f"{bits}-bit {syntax.name}" if syntax == JPEGExtended12Bit else f"{syntax.name} ({syntax})"
        raise CannotDecode(f"{path}: pixels are compressed as {name}, which cannot be decoded here; {WAY_OUT}")


def read_stored(path: Path, frame: int, form: PixelFormat) -> StoredPixels:
    """Read one frame, (rows, columns), in native byte order; raise CannotDecode naming the file."""
    try:
        stored = _read_native(path, frame, form) if form.offset is not None else _decode(path, frame, form)
    except Exception as error:  # decoders raise errors of many types
        if isinstance(error, CannotDecode):
            raise
        reason = shown(error) or type(error).__name__
        raise CannotDecode(f"{path}: the pixels ({form.syntax.name}) cannot be decoded: {reason}; {WAY_OUT}") from error
    if stored.shape != (form.rows, form.columns):
        raise CannotDecode(f"{path}: the pixels are {stored.shape}, the header says {(form.rows, form.columns)}")
    return stored.astype(form.dtype.newbyteorder("="), copy=False)


def _read_native(path: Path, frame: int, form: PixelFormat) -> StoredPixels:
    assert form.offset is not None
    count, offset = form.rows * form.columns, form.offset + frame * form.frame_bytes
    if form.syntax == DeflatedExplicitVRLittleEndian:
        inflated = plain_file(path)
        stored: StoredPixels = np.frombuffer(inflated.getbuffer() if inflated else b"", form.dtype, count, offset)
    else:
        stored = np.fromfile(path, form.dtype, count, offset=offset)
    check_native(path, form, 1, stored.nbytes)
    return stored.reshape(form.rows, form.columns)


def _decode(path: Path, frame: int, form: PixelFormat) -> StoredPixels:
    with suppress_pydicom_warnings():
        return pixel_array(path, index=frame, raw=True, decoding_plugin=PREFERRED.get(form.syntax, ""))
