"""What an input is: a regular file or a folder at all, and of which kind by its content, whatever its name says."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from enum import Enum, auto
from pathlib import Path

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.messages import reason

START = 512
"""Bytes from the beginning of a file by which its kind is recognised."""
GZIP = b"\x1f\x8b"
TAR_COMPRESSIONS = (b"BZh", b"\xfd7zXZ\x00")
"""Beginnings of bzip2 and xz files, which hold tar files."""
NIFTI_MAGIC = {(344, b"n+1\0"), (4, b"n+2\0")}
"""Offset and text by which a NIfTI-1 or NIfTI-2 file is recognised."""
HEADER_SIZES = (b"\x5c\x01\0\0", b"\0\0\x01\x5c")
"""Beginning of an Analyze 7.5 header and of that of a NIfTI pair, 348 in either byte order."""
SLICE_ENDINGS = (".dcm.gz", ".ima.gz")
"""Endings by which compressed DICOM files are recognised even when they are damaged."""

SPECIAL_FILES = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)
"""Test of a file's mode, and what it is."""


class Kind(Enum):
    """Kind of an input."""

    FOLDER = auto()
    DICOM = auto()
    NIFTI = auto()
    PAIR = auto()
    NPY = auto()
    NPZ = auto()
    ITK = auto()
    ZIP = auto()
    TAR = auto()
    GZIP = auto()
    OTHER = auto()


BY_ENDING = {
    **dict.fromkeys((".nii", ".nii.gz"), Kind.NIFTI),
    **dict.fromkeys((".hdr", ".img", ".hdr.gz", ".img.gz"), Kind.PAIR),
    ".npy": Kind.NPY,
    ".npz": Kind.NPZ,
    **dict.fromkeys((".nrrd", ".nhdr", ".mha", ".mhd"), Kind.ITK),
    ".zip": Kind.ZIP,
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), Kind.TAR),
    ".gz": Kind.GZIP,
}
"""Kind that a name promises, where the content does not tell: a damaged file is named as what it was to be."""
IMAGE_HALVES = (".img", ".img.gz")
"""Endings of the files of a pair that hold the image and no header."""
ARRAYS = (Kind.NIFTI, Kind.PAIR, Kind.NPY, Kind.NPZ, Kind.ITK)
"""Kinds that hold one series as an array."""
ARCHIVES = (Kind.ZIP, Kind.TAR)
"""Kinds that hold files."""

UNSUPPORTED = {
    b"\x89PNG": "a PNG picture, of grey values and not of HU; give the CT series, or an .npz with the key 'hu'",
    b"\xff\xd8\xff": "a JPEG picture, of grey values and not of HU; give the CT series, or an .npz with the key 'hu'",
    b"II*\0": "a TIFF picture; if its values are HU, save them in an .npz with the key 'hu'",
    b"MM\0*": "a TIFF picture; if its values are HU, save them in an .npz with the key 'hu'",
    b"\x89HDF": "an HDF5 or MINC file; convert it to NIfTI, or save its HU in an .npz with the key 'hu'",
    b"MATLAB": "a MATLAB file; save its HU in an .npz with the key 'hu' (scipy.io.loadmat reads it)",
    b"Rar!": "a RAR archive; unpack it and give the folder",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it and give the folder",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard; decompress it (zstd -d) and give the result",
    b"%PDF": "a PDF document; give the CT series",
}
"""Beginning of a file that is not read -> what it is, and the way out."""


def check_input(path: Path) -> None:
    """Raise unless a path is a folder or a regular file that is not empty; never opens a pipe or a device.

    Raises NothingToRead when there is nothing of that name, and CannotDecode for everything else.
    """
    try:
        state = path.stat()
    except FileNotFoundError as error:
        dangling = f"a link to {path.readlink()}, which does not exist" if path.is_symlink() else None
        raise NothingToRead(f"{path}: {dangling or 'no such file or folder'}") from error
    except (OSError, ValueError) as error:
        raise CannotDecode(f"{path}: cannot be opened ({reason(error)})") from error
    for is_special, name in SPECIAL_FILES:
        if is_special(state.st_mode):
            raise CannotDecode(f"{path}: is a {name}, no file or folder; save what it gives to a file, and give that")
    if stat.S_ISREG(state.st_mode) and state.st_size == 0:
        raise CannotDecode(f"{path}: empty, a failed copy; copy or export it again")


def check_folder(path: Path, wanted: str) -> None:
    """Raise as ``check_input`` does, and NothingToRead for a file; ``wanted`` is what the folder is to hold."""
    check_input(path)
    if not path.is_dir():
        raise NothingToRead(f"{path}: is a file; give the folder that holds {wanted}")


def named_kind(path: Path) -> Kind:
    """Return the kind that a file's name promises, OTHER for names that promise none."""
    name = path.name.lower()
    return next((kind for ending, kind in BY_ENDING.items() if name.endswith(ending)), Kind.OTHER)


def is_series_file(path: Path) -> bool:
    """Return whether a file holds a series, or an archive of them, by its name.

    False for the hidden files of macOS, and for an .img, whose series the .hdr beside it stands for.
    """
    name = path.name.lower()
    return named_kind(path) in (*ARRAYS, *ARCHIVES) and not name.startswith(".") and not name.endswith(IMAGE_HALVES)


def is_other_format(path: Path) -> bool:
    """Return whether a file is read by itself and not as an image of a folder: by its name, any but plain DICOM."""
    return is_series_file(path) or (path.name.lower().endswith(SLICE_ENDINGS) and not path.name.startswith("."))


def kind_of(path: Path) -> Kind:
    """Return the kind of an input that ``check_input`` has let pass: by its content, else by its name.

    DICOM files without the usual beginning are OTHER.

    Raises CannotDecode when it cannot be opened, and for kinds of files that are not read.
    """
    if path.is_dir():
        return Kind.FOLDER
    start = _start(path)
    if start.startswith(GZIP):
        return _kind_of_gzip(path)
    if start[128:132] == b"DICM":
        return Kind.DICOM
    found = _kind_of_content(start)
    if found is Kind.OTHER and zipfile.is_zipfile(path):  # the directory of a zip is at its end
        found = _kind_of_zip(path)
    if found is not Kind.OTHER:
        return found
    _refuse_unsupported(path, start)
    return named_kind(path)


def without_gz(path: Path) -> Path:
    """Return a path without the ending .gz, if it has one."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def is_gzip(path: Path) -> bool:
    """Return whether a file is compressed by gzip, by its content."""
    return _start(path).startswith(GZIP)


def is_compressed_slice(path: Path) -> bool:
    """Return whether a file is a DICOM file that was compressed by gzip as a whole, by its name and content."""
    if named_kind(path) is not Kind.GZIP or not path.is_file() or not is_gzip(path):
        return False
    try:
        with gzip.open(path) as file:
            return path.name.lower().endswith(SLICE_ENDINGS) or file.read(132)[128:] == b"DICM"
    except (OSError, EOFError, zlib.error):  # damaged, and not named like a slice
        return False


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(START)
    except OSError as error:
        raise CannotDecode(f"{path}: cannot be opened ({reason(error)}); make it readable") from error


def _kind_of_gzip(path: Path) -> Kind:
    """Return NIFTI, PAIR or TAR for what is unpacked while it is read, else GZIP: to be unpacked first."""
    try:
        with gzip.open(path) as file:
            found = _kind_of_content(file.read(START))
    except (OSError, EOFError, zlib.error):  # reading it tells better what is damaged
        found = Kind.OTHER
    found = named_kind(path) if found is Kind.OTHER else found
    return found if found in (Kind.NIFTI, Kind.PAIR, Kind.TAR) else Kind.GZIP


def _kind_of_content(start: bytes) -> Kind:
    if any(start[offset : offset + 4] == magic for offset, magic in NIFTI_MAGIC):
        return Kind.NIFTI
    if start.startswith(HEADER_SIZES) and start[344:348] == b"ni1\0":
        return Kind.PAIR
    if start.startswith(b"\x93NUMPY"):
        return Kind.NPY
    if start[257:262] == b"ustar" or start.startswith(TAR_COMPRESSIONS):
        return Kind.TAR
    if start.startswith(b"NRRD0") or (start.lstrip().startswith((b"ObjectType", b"NDims")) and b"DimSize" in start):
        return Kind.ITK
    return Kind.OTHER


def _kind_of_zip(path: Path) -> Kind:
    """Tell an .npz from a zip of files; a damaged one is told when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return Kind.ZIP
    return Kind.NPZ if names and all(name.endswith(".npy") for name in names) else Kind.ZIP


def _refuse_unsupported(path: Path, start: bytes) -> None:
    for magic, text in UNSUPPORTED.items():
        if start.startswith(magic):
            raise CannotDecode(f"{path}: is {text}")
