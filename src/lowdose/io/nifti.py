"""NIfTI files: HU by the header's scale, slices along the third axis, streamed on reading and writing."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
from nibabel import imageglobals
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from lowdose.errors import CannotDecode, GeometryMismatch, NotCT, OutputRefused
from lowdose.image import Geometry, Vector
from lowdose.io.arrays import AIR, ArraySink, ArraySource
from lowdose.io.input_kind import is_gzip
from lowdose.io.provenance import Provenance
from lowdose.io.zip_files import CHUNK, MAX_BYTES, UnpackBudget

TO_MM = {"meter": 1000.0, "micron": 0.001}
"""Millimetres per unit of length other than mm that a NIfTI header can state."""
MAX_OFFSET = 16 << 20
"""Limit of the bytes before the image, which are kept in memory; extensions take some KiB."""

MAX_LABEL_BYTES = 8 << 30
"""Limit of the unpacked size of labels in bytes.

Labels compress a thousandfold, so the size is limited by itself, not by its ratio to the size of the file.
"""

DESCRIPTION = {348: 148, 540: 240}
"""Byte offset of the free description of 80 bytes, by size of the header (NIfTI-1, NIfTI-2)."""


class NiftiSource(ArraySource):
    """Series in a NIfTI file of one 3-D image; a compressed one is unpacked into the folder ``scratch``.

    ``converted`` is the NIfTI file that another format was converted to; ``path`` is then named in messages only.
    Raises NotCT or CannotDecode.
    """

    no_grid = "The header gives no usable voxel size or position: state the size with --pixel and --thickness."

    def __init__(self, path: Path, scratch: Path, converted: Path | None = None) -> None:
        file = converted or path
        header = read_header(file)
        shape, kind = volume_shape(header), header.get_data_dtype()
        _check_image(path, shape, kind)
        self.offset = int(header.get_data_offset())
        budget = UnpackBudget(path, file.stat().st_size, way_out="unpack it yourself and give the .nii")
        self.plain = scratch / "image.nii" if is_gzip(file) else file
        stored = stored_voxels(file, header, self.plain, "give a smaller part of it", spend=budget.spend)
        slope, intercept = header.get_slope_inter()
        stored = stored.transpose(2, 1, 0)
        super().__init__(path, stored, geometry(header), 1.0 if slope is None else slope, intercept or 0.0)
        if self.lowest >= 0:
            raise NotCT(
                f"{path}: values from {self.lowest:g} to {self.highest:g}, none below 0, so they cannot be HU (air is "
                "-1000); a mask, another modality, or stored without its offset"
            )
        if self.geometry is None:
            self.warnings.append(self.no_grid)
        if self.lowest > AIR:
            self.warnings.append(f"No value is below {AIR:g}: check that the values are HU.")

    def refuse_other_name(self, output: Path) -> None:
        """Raise OutputRefused for a name that does not end as a file of this kind does."""
        if not output.name.lower().endswith((".nii", ".nii.gz")):
            raise OutputRefused(
                f"{output}: a NIfTI file is written for NIfTI input; let the name end in .nii or .nii.gz"
            )


def _check_image(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    """Raise NotCT unless a NIfTI file holds one 3-D image of numbers."""
    if kind.names:
        raise NotCT(f"{path}: colours (values of type {', '.join(kind.names)}), not HU; give the CT series itself")
    if kind.kind not in "iuf" or 0 in shape:
        raise NotCT(f"{path}: values of type {kind}, shape {shape}: not an image in HU")
    if len(shape) > 3:
        raise NotCT(
            f"{path}: {len(shape)}-D, shape {shape}: several images in one file; split it into 3-D files, for example "
            "with nibabel.four_to_three"
        )


def volume_shape(header: Any) -> tuple[int, ...]:
    """Return (x, y, z) without the further axes of length 1 that some programs add, and with z = 1 for one slice."""
    shape = tuple(int(length) for length in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return (*shape, 1) if len(shape) == 2 else shape


def quiet_nibabel() -> AbstractContextManager[object]:
    """Return a context in which nibabel prints nothing: what is wrong with a header is raised."""
    context: AbstractContextManager[object] = imageglobals.LoggingOutputSuppressor()
    return context


def read_header(path: Path) -> Any:
    """Read a NIfTI header, version 1 or 2; raise CannotDecode when it is not readable."""
    try:
        with quiet_nibabel(), open_unpacked(path) as file:
            size = int.from_bytes(file.read(4), "little")
            file.seek(0)
            kind = nib.Nifti2Header if size in (540, 0x1C020000) else nib.Nifti1Header
            header: Any = kind(file.read(kind.sizeof_hdr))  # type: ignore[no-untyped-call] # without its extensions
    except (HeaderDataError, WrapStructError, OSError, EOFError, zlib.error, ValueError, TypeError) as error:
        raise CannotDecode(f"{path}: not a readable NIfTI file ({error})") from error
    if not 0 <= header.get_data_offset() <= MAX_OFFSET:
        raise CannotDecode(f"{path}: states {header.get_data_offset()} bytes before the image; write it again")
    return header


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if it is compressed."""
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def unpack(path: Path, target: Path, size: int, spend: Callable[[int], None] = lambda count: None) -> Path:
    """Return an uncompressed file of at least ``size`` bytes: ``path`` itself, or its unpacked copy at ``target``.

    ``spend`` is called with the number of bytes unpacked since the last call, and may raise. Raises CannotDecode.
    """
    try:
        if is_gzip(path):
            with open_unpacked(path) as source, target.open("wb") as file:
                left = size
                while left and (chunk := source.read(min(CHUNK, left))):
                    spend(len(chunk))
                    file.write(chunk)
                    left -= len(chunk)
            path, available = target, size - left
        else:
            available = path.stat().st_size
    except (OSError, EOFError, zlib.error) as error:
        raise CannotDecode(f"{path}: cannot be unpacked ({error})") from error
    if available < size:
        raise CannotDecode(f"{path}: truncated, {available} of {size} bytes are there; copy it again")
    return path


def stored_voxels(
    path: Path, header: Any, target: Path, advice: str, most: int = MAX_BYTES,
    spend: Callable[[int], None] = lambda count: None,
) -> NDArray[Any]:  # fmt: skip
    """Return the stored values of a 3-D file, (x, y, z), memory-mapped.

    target, spend: see ``unpack``. Raises CannotDecode, with ``advice``, when they take more than ``most`` bytes, and as
    ``unpack`` does.
    """
    shape, kind, offset = volume_shape(header), header.get_data_dtype(), int(header.get_data_offset())
    size = offset + int(np.prod(shape, dtype=object)) * kind.itemsize
    if size > most:
        raise CannotDecode(f"{path}: states {size >> 30} GiB of voxels; {advice}")
    stored: NDArray[Any] = np.memmap(unpack(path, target, size, spend), kind, "r", offset, shape, "F")
    return stored


def geometry(header: Any) -> Geometry | None:
    """Convert the header's affine from RAS to LPS and return its grid, or None when it is degenerate."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ header.get_best_affine()
    scale = TO_MM.get(header.get_xyzt_units()[0], 1.0)
    columns, origin = affine[:3, 2::-1].T * scale, affine[:3, 3] * scale
    spacing = np.linalg.norm(columns, axis=1)
    if not np.isfinite(affine).all() or not spacing.all():
        return None
    step, down, right = (_vector(column) for column in columns / spacing[:, np.newaxis])
    try:
        return Geometry(_vector(spacing), _vector(origin), (step, down, right))
    except GeometryMismatch:
        return None


def _vector(values: NDArray[np.float64]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


class NiftiSink(ArraySink):
    """Writer of a NIfTI file with the source's header, type and scale; only the description changes."""

    def __init__(self, source: NiftiSource, output: Path, provenance: Provenance) -> None:
        super().__init__(source, output)
        self._nifti, self._provenance = source, provenance

    def _begin(self, hidden: Path) -> IO[bytes]:
        with self._nifti.plain.open("rb") as source:
            head = bytearray(source.read(self._nifti.offset))
        size = 540 if 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")) else 348
        offset = DESCRIPTION[size]
        head[offset : offset + 80] = self._provenance.label.encode("ascii")[:79].ljust(80, b"\0")
        packed = self._output.suffix.lower() == ".gz"
        file: Any = gzip.GzipFile(hidden, "wb", compresslevel=4) if packed else hidden.open("wb")
        file.write(head)
        return file  # type: ignore[no-any-return]
