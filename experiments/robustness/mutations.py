"""Damage done to DICOM files at random: to their headers element by element and byte by byte, and to their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from pydicom.uid import PrivateTransferSyntaxes, UID_dictionary

from lowdose.io.dicom.fast_header import PIXELS, UNDEFINED, NeedsFullParser, parse_element, skip_sequence

ITEM = b"\xfe\xff\x00\xe0"
VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
SYNTAXES = [uid.encode() for uid in (*UID_dictionary, *PrivateTransferSyntaxes) if uid.startswith("1.2.840.10008.1.2")]
ODD_VALUES = (
    b"", b" ", b"\0\0", b"-1", b"0", b"1e400", b"-1e-300", b"nan", b"inf", b"1,5", b"\\\\\\", b"0\\0\\0\\0\\0\\0",
    b"1\\0\\0\\0\\1\\0", b"0.7\\0.7", b"9" * 64, b"\xff" * 8, b"\x1b$B" * 4, b"A" * 1024, b"US", b"HU", b"x", b"1.2.3",
    b"\0\x80", b"\xff\xff", b"\x01\0", b"\x20\0", b"\r\n", b"%n%s", b"../../x", b"3.1" + b".9" * 40,
)  # fmt: skip
"""Values that no reader expects where they are put."""
ODD_LENGTHS = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, UNDEFINED)
NESTED = 400
"""Depth of a nest of sequences, more than Python's parsers can follow."""


class Parts(NamedTuple):
    """A file cut where its elements begin: preamble, elements up to the pixels, and the pixel element."""

    preamble: bytes
    elements: list[bytes]
    pixels: bytes

    def joined(self) -> bytes:
        """Return the file."""
        return b"".join([self.preamble, *self.elements, self.pixels])


Mutation = Callable[[Parts, Random], bytes]


def cut(data: bytes) -> Parts:
    """Cut a file in explicit VR, little endian, where its elements begin."""
    elements, at = [], 132
    while True:
        tag, start, length = parse_element(data, at, implicit=False)
        if tag == PIXELS:
            return Parts(data[:132], elements, data[at:])
        end = skip_sequence(data, start, implicit=False) if length == UNDEFINED else start + length
        elements.append(data[at:end])
        at = end


def change_bytes(parts: Parts, rng: Random) -> bytes:
    """Change up to eight bytes of the header."""
    return _with_header(parts, _changed(b"".join(parts.elements), rng))


def insert_bytes(parts: Parts, rng: Random) -> bytes:
    """Put up to eight bytes into the header."""
    header = bytearray(b"".join(parts.elements))
    at = rng.randrange(len(header))
    header[at:at] = rng.randbytes(rng.randint(1, 8))
    return _with_header(parts, bytes(header))


def drop_bytes(parts: Parts, rng: Random) -> bytes:
    """Take up to eight bytes out of the header."""
    header = bytearray(b"".join(parts.elements))
    at = rng.randrange(len(header))
    del header[at : at + rng.randint(1, 8)]
    return _with_header(parts, bytes(header))


def cut_short(parts: Parts, rng: Random) -> bytes:
    """End the file anywhere."""
    data = parts.joined()
    return data[: rng.randrange(len(data))]


def odd_value(parts: Parts, rng: Random) -> bytes:
    """Give up to three elements an odd value, with the length that it has."""
    elements = list(parts.elements)
    for index in rng.sample(range(len(elements)), rng.randint(1, 3)):
        head = _head(elements[index])
        value = rng.choice(ODD_VALUES)
        value += b" " * (len(value) % 2)
        size = 4 if len(head) == 12 else 2
        elements[index] = head[:-size] + len(value).to_bytes(size, "little") + value
    return parts._replace(elements=elements).joined()


def odd_length(parts: Parts, rng: Random) -> bytes:
    """State a length that is not that of the value."""
    elements = list(parts.elements)
    index = rng.randrange(len(elements))
    head = _head(elements[index])
    size = 4 if len(head) == 12 else 2
    length = rng.choice(ODD_LENGTHS) & ((1 << 8 * size) - 1)
    elements[index] = head[:-size] + length.to_bytes(size, "little") + elements[index][len(head) :]
    return parts._replace(elements=elements).joined()


def other_representation(parts: Parts, rng: Random) -> bytes:
    """State another value representation."""
    elements = list(parts.elements)
    index = rng.randrange(len(elements))
    elements[index] = elements[index][:4] + rng.choice(VRS) + elements[index][6:]
    return parts._replace(elements=elements).joined()


def drop_elements(parts: Parts, rng: Random) -> bytes:
    """Leave out up to four elements."""
    elements = list(parts.elements)
    for _ in range(rng.randint(1, 4)):
        del elements[rng.randrange(len(elements))]
    return parts._replace(elements=elements).joined()


def shuffle_elements(parts: Parts, rng: Random) -> bytes:
    """Repeat an element, or exchange two."""
    elements = list(parts.elements)
    first, second = rng.sample(range(len(elements)), 2)
    if rng.random() < 0.5:
        elements.insert(first, elements[second])
    else:
        elements[first], elements[second] = elements[second], elements[first]
    return parts._replace(elements=elements).joined()


def nest_sequences(parts: Parts, rng: Random) -> bytes:
    """Put in a deep nest of sequences, closed or not."""
    depth, closed = rng.randint(1, NESTED), rng.random() < 0.5
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" if closed else b""
    elements = list(parts.elements)
    elements.insert(rng.randrange(len(elements)), opening * depth + closing * depth)
    return parts._replace(elements=elements).joined()


def other_syntax(parts: Parts, rng: Random) -> bytes:
    """State another transfer syntax."""
    elements = list(parts.elements)
    for index, element in enumerate(elements):
        if element.startswith(b"\x02\x00\x10\x00UI"):
            name = rng.choice(SYNTAXES)
            name += b"\0" * (len(name) % 2)
            elements[index] = element[:6] + len(name).to_bytes(2, "little") + name
    return parts._replace(elements=elements).joined()


def change_stream(parts: Parts, rng: Random) -> bytes:
    """Change up to eight bytes of the pixel element."""
    return parts._replace(pixels=_changed(parts.pixels, rng)).joined()


def change_stream_start(parts: Parts, rng: Random) -> bytes:
    """Change bytes where compressed streams state what they are."""
    return parts._replace(pixels=_changed(parts.pixels[:128], rng) + parts.pixels[128:]).joined()


def cut_stream(parts: Parts, rng: Random) -> bytes:
    """Take a part out of the pixel element, and leave its stated lengths."""
    at = rng.randrange(len(parts.pixels))
    return parts._replace(pixels=parts.pixels[:at] + parts.pixels[at + rng.randint(1, 4096) :]).joined()


def blank_stream(parts: Parts, rng: Random) -> bytes:
    """Overwrite a part of the pixel element by one byte, or by noise."""
    at, count = rng.randrange(len(parts.pixels)), rng.randint(1, 4096)
    blank = rng.randbytes(count) if rng.random() < 0.5 else bytes([rng.choice((0, 255))]) * count
    return parts._replace(pixels=(parts.pixels[:at] + blank + parts.pixels[at + count :])).joined()


def other_format(parts: Parts, rng: Random) -> bytes:
    """State another size, number of bits or number of frames than the stream has."""
    elements = list(parts.elements)
    words = (b"\x10\x00", b"\x11\x00", b"\x00\x01", b"\x01\x01", b"\x02\x01", b"\x03\x01")
    for index, element in enumerate(elements):
        if element[:2] == b"\x28\x00" and element[2:4] in words and rng.random() < 0.4:
            value = rng.choice((0, 1, 7, 8, 12, 15, 16, 32, 63, 65, 512, 4096, 65535))
            elements[index] = _head(element) + value.to_bytes(2, "little")
    if rng.random() < 0.3:
        frames = rng.choice((b"0 ", b"2 ", b"99", b"-1", b"99999999"))
        elements.insert(-4, b"\x28\x00\x08\x00IS" + len(frames).to_bytes(2, "little") + frames)
    return parts._replace(elements=elements).joined()


HEADER_MUTATIONS: Sequence[Mutation] = (
    change_bytes, insert_bytes, drop_bytes, cut_short, odd_value, odd_length, other_representation, drop_elements,
    shuffle_elements, nest_sequences, other_syntax,
)  # fmt: skip
STREAM_MUTATIONS: Sequence[Mutation] = (change_stream, change_stream_start, cut_stream, blank_stream, other_format)


def _head(element: bytes) -> bytes:
    """Return tag, representation and length of an element in explicit VR; 8 bytes of an implicit one."""
    try:
        start = parse_element(element + b"\0" * 12, 0, implicit=False)[1]
    except NeedsFullParser:
        start = 8
    return element[:start]


def _changed(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _with_header(parts: Parts, header: bytes) -> bytes:
    return parts.preamble + header + parts.pixels
