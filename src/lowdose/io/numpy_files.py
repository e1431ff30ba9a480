"""NumPy files: .npz with HU under the key "hu" and, if known, the grid; or a bare .npy that looks like HU."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lowdose.errors import CannotDecode, GeometryMismatch, NotCT, OutputRefused
from lowdose.image import AXIAL, Geometry, Vector
from lowdose.io.arrays import AIR, ArraySink, ArraySource
from lowdose.io.input_kind import Kind, kind_of
from lowdose.io.messages import reason
from lowdose.io.zip_files import CHUNK, UnpackBudget

HU_MEMBER = "hu.npy"
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, OverflowError
)  # fmt: skip
"""Everything that zipfile and NumPy raise on damaged files."""
NO_SPACING = "The voxel spacing is unknown: state it with --pixel and --thickness."


class NumpySource(ArraySource):
    """Series in one .npy or .npz, (z, y, x) or (y, x), float or signed integer, in HU; pickled arrays are never loaded.

    An .npz may hold ``spacing`` (3,) in mm, ``origin`` (3,) in mm and ``direction`` (3, 3), with the meaning that
    ``image.Geometry`` gives them. Raises NotCT or CannotDecode.
    """

    no_grid = NO_SPACING

    def __init__(self, path: Path, scratch: Path) -> None:
        is_npz = kind_of(path) is Kind.NPZ
        self.ending = ".npz" if is_npz else ".npy"
        try:
            array: NDArray[Any] = np.load(unpack_hu(path, scratch) if is_npz else path, "r", allow_pickle=False)
        except UNREADABLE as error:
            raise CannotDecode(f"{path}: not a readable NumPy array ({reason(error)})") from error
        if array.dtype.kind not in "if" or array.ndim not in (2, 3) or array.size == 0:
            raise NotCT(f"{path}: {array.dtype} {array.shape}; HU are float or signed integer, (z, y, x) or (y, x)")
        self.shape = array.shape
        stack = array if array.ndim == 3 else array[np.newaxis]
        super().__init__(path, stack, read_geometry(path) if is_npz else None)
        if not is_npz and self.lowest > AIR:
            raise NotCT(
                f"{path}: no value is below {AIR:g} ({self.lowest:g} to {self.highest:g}), so these may not be HU; "
                "if they are, say so by saving an .npz with the key 'hu'"
            )
        if self.geometry is None:
            self.warnings.append(self.no_grid)

    def refuse_other_name(self, output: Path) -> None:
        """Raise OutputRefused for a name that does not end as a file of this kind does."""
        if output.suffix.lower() != self.ending:
            raise OutputRefused(f"{output}: for {self.ending} input the output is a {self.ending} file; name it so")


def unpack_hu(path: Path, scratch: Path) -> Path:
    """Unpack the "hu" array of an .npz into a .npy file in ``scratch`` and return its path.

    Raises CannotDecode, or NotCT when there is no such key.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if HU_MEMBER not in archive.namelist():
                keys = ", ".join(name.removesuffix(".npy") for name in archive.namelist())
                raise NotCT(f"{path}: has no key 'hu' (keys: {keys}); save the image in HU under that name")
            budget = UnpackBudget(path, path.stat().st_size, way_out="save it with less beside the image")
            budget.spend(sum(info.file_size for info in archive.infolist() if info.filename != HU_MEMBER))
            with archive.open(HU_MEMBER) as source, (scratch / HU_MEMBER).open("wb") as file:
                budget.copy(source, file)
    except UNREADABLE as error:
        raise CannotDecode(f"{path}: not a readable .npz file ({reason(error)})") from error
    return scratch / HU_MEMBER


def read_geometry(path: Path) -> Geometry | None:
    """Return the grid that an .npz states, or None when it gives no spacing.

    Raises NotCT or GeometryMismatch when the values have no meaning.
    """
    with zipfile.ZipFile(path) as archive:
        spacing = _read_small_array(path, archive, "spacing", (3,))
        origin = _read_small_array(path, archive, "origin", (3,))
        direction = _read_small_array(path, archive, "direction", (3, 3))
    if spacing is None:
        return None
    axes = AXIAL if direction is None else (_vector(direction[0]), _vector(direction[1]), _vector(direction[2]))
    if not is_frame(np.array(axes)):
        raise GeometryMismatch(f"{path}: key 'direction' must hold three unit vectors, rows and columns square: {axes}")
    try:
        return Geometry(_vector(spacing), (0.0, 0.0, 0.0) if origin is None else _vector(origin), axes)
    except GeometryMismatch as error:
        raise GeometryMismatch(f"{path}: {error}") from error


def is_frame(axes: NDArray[np.float64]) -> bool:
    """Return whether three row vectors are usable axes of a grid.

    All are unit vectors, the last two orthogonal to each other, the first out of their plane but not necessarily
    orthogonal to it, as for a tilted gantry.
    """
    unit = np.allclose(np.linalg.norm(axes, axis=1), 1.0, atol=1e-3)
    return bool(unit and abs(axes[1] @ axes[2]) < 1e-3 and abs(np.linalg.det(axes)) > 0.5)


def _vector(values: NDArray[Any]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def _read_small_array(path: Path, archive: zipfile.ZipFile, key: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Read a small array of fixed shape, such as a position, or return None when the key is missing."""
    if f"{key}.npy" not in archive.namelist():
        return None
    try:
        with archive.open(f"{key}.npy") as file:
            stored_shape, fortran_order, kind = _read_npy_header(file)
            if stored_shape != shape or kind.kind not in "iuf":  # checked before memory of that size is allocated
                raise NotCT(f"{path}: key '{key}' must be {shape} finite numbers in mm, not {kind} {stored_shape}")
            data = file.read(math.prod(shape) * kind.itemsize)
        values: NDArray[Any] = np.frombuffer(data, kind).reshape(shape, order="F" if fortran_order else "C")
    except UNREADABLE as error:
        raise CannotDecode(f"{path}: key '{key}' is not readable ({reason(error)})") from error
    if not np.isfinite(values).all():
        raise NotCT(f"{path}: key '{key}' must hold finite numbers in mm")
    return values


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return (shape, whether the array is in Fortran order, type)."""
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, kind = read(file)
    return shape, fortran_order, kind


class NumpySink(ArraySink):
    """Writer of the same kind of file as the source, with the same type, shape and keys."""

    def __init__(self, source: NumpySource, output: Path) -> None:
        super().__init__(source, output)
        self._numpy = source
        self._archive: zipfile.ZipFile | None = None

    def _begin(self, hidden: Path) -> IO[bytes]:
        if self._numpy.ending == ".npz":
            self._archive = zipfile.ZipFile(hidden, "w", zipfile.ZIP_DEFLATED)
            copy_others(self._numpy.path, self._archive)
            file = self._archive.open(HU_MEMBER, "w", force_zip64=True)
        else:
            file = hidden.open("wb")
        kind = npy.dtype_to_descr(self._numpy.stored.dtype)
        npy.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": self._numpy.shape})
        return file

    def _end(self, complete: bool) -> None:
        super()._end(complete)
        if self._archive is not None:
            self._archive.close()


def copy_others(path: Path, target: zipfile.ZipFile) -> None:
    """Copy everything in an .npz but the image, chunk by chunk.

    This comes before the image, so that a damaged key raises CannotDecode before any slice is computed.
    """
    with zipfile.ZipFile(path) as source:
        for name in dict.fromkeys(source.namelist()):
            if name != HU_MEMBER:
                with target.open(name, "w", force_zip64=True) as copy:
                    for chunk in _chunks(path, name, source):
                        copy.write(chunk)


def _chunks(path: Path, name: str, archive: zipfile.ZipFile) -> Iterator[bytes]:
    try:
        with archive.open(name) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except UNREADABLE as error:
        raise CannotDecode(f"{path}: {name} is not readable ({reason(error)})") from error
