"""Formats that are read by converting them to a NIfTI file first: NIfTI pairs and Analyze 7.5, NRRD and MetaImage."""

from __future__ import annotations

import gzip
import zlib
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.input_kind import check_input, is_gzip, without_gz
from lowdose.io.messages import reason
from lowdose.io.nifti import quiet_nibabel
from lowdose.io.zip_files import MAX_BYTES, UnpackBudget

PARTNER = {".hdr": ".img", ".img": ".hdr"}
NO_ORIENTATION = "Analyze 7.5 files state no orientation: left and right may be exchanged."


def convert_pair(path: Path, target: Path) -> list[str]:
    """Join .hdr and .img of a NIfTI pair or an Analyze image, of which ``path`` is one, into the NIfTI file ``target``.

    Stored values, type and scale stay as they are. Returns what a user must know. Raises NothingToRead when one of the
    two is missing, and CannotDecode.
    """
    header_file, image_file = _both_files(path)
    try:
        with quiet_nibabel(), _open(header_file) as file:
            data = file.read(348)
            is_pair = data[344:348] == b"ni1\0"
            kind = nib.nifti1.Nifti1PairHeader if is_pair else nib.Spm99AnalyzeHeader
            header: Any = kind(data)
            joined: Any = nib.Nifti1Header.from_header(header, check=False)  # type: ignore[no-untyped-call]
            if joined.endianness != header.endianness:
                joined = joined.as_byteswapped(header.endianness)
            slope, intercept = header.get_slope_inter()
            joined.set_slope_inter(1.0 if slope is None else slope, intercept or 0.0)
            offset = int(header.get_data_offset())
        joined["magic"], joined["vox_offset"] = b"n+1", 352
        budget = UnpackBudget(image_file, image_file.stat().st_size, way_out="convert it to NIfTI")
        with _open(image_file) as source, target.open("wb") as file:
            source.seek(offset)
            file.write(joined.binaryblock + bytes(4))
            budget.copy(source, file)
    except (HeaderDataError, WrapStructError, ImageFileError, OSError, EOFError, zlib.error, ValueError) as error:
        raise CannotDecode(f"{path}: not a readable NIfTI pair or Analyze image ({reason(error)})") from error
    return [] if is_pair else [NO_ORIENTATION]


def _both_files(path: Path) -> tuple[Path, Path]:
    """Return the header and the image file of a pair; raise NothingToRead for one that is missing."""
    plain = without_gz(path)
    ending = PARTNER.get(plain.suffix.lower())
    if ending is None:
        raise CannotDecode(f"{path}: is the header of a pair by its content; name the two files .hdr and .img")
    wanted = (plain.stem + ending, plain.stem + ending + ".gz")
    found = [file for file in path.parent.iterdir() if file.name.lower() in [name.lower() for name in wanted]]
    if not found:
        raise NothingToRead(f"{path}: is one half of a pair; {wanted[0]} must lie beside it, or convert both to NIfTI")
    check_input(found[0])
    return (path, found[0]) if ending == ".img" else (found[0], path)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def convert_itk(path: Path, target: Path) -> None:
    """Write an NRRD or MetaImage file as the NIfTI file ``target``, with SimpleITK.

    Raises CannotDecode when it is damaged, absurdly large, or SimpleITK is not installed.
    """
    try:
        sitk: Any = import_module("SimpleITK")  # most of it is without types
    except ImportError as error:
        raise CannotDecode(
            f"{path}: NRRD and MetaImage files need the extra 'formats' (pip install 'lowdose[formats]'); or "
            "convert it to NIfTI"
        ) from error
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size = int(np.prod(reader.GetSize(), dtype=object)) * max(1, reader.GetNumberOfComponents()) * 8
        if size > MAX_BYTES:
            raise CannotDecode(f"{path}: states {size >> 30} GiB of image; give a smaller part of it")
        sitk.WriteImage(reader.Execute(), str(target))
    except RuntimeError as error:
        cause = next((line for line in reversed(str(error).splitlines()) if line.strip()), "unknown")
        raise CannotDecode(f"{path}: not a readable NRRD or MetaImage file ({cause.strip()}); copy it again") from error
