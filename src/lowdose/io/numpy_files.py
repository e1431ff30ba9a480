"""NumPy files: .npz that states HU (key 'hu', and the grid if known), or a bare .npy that looks like HU."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lowdose.errors import CannotDecode, NotCT, OutputRefused
from lowdose.io.archive import Budget
from lowdose.io.arrays import AIR, ArraySink, ArraySource
from lowdose.volume import AXIAL, Geometry, Vector

HU_MEMBER = "hu.npy"
SMALL = 1 << 16
NO_SPACING = "The voxel spacing is unknown."


class NumpySource(ArraySource):
    """One .npy or .npz, (z, y, x) or (y, x), float or signed integer, in HU. Never unpickles.

    An .npz may give ``spacing`` (3,) mm, ``origin`` (3,) mm and ``direction`` (3, 3), in array order and LPS.
    Raises NotCT or CannotDecode.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        stated = path.suffix == ".npz"
        try:
            array: NDArray[Any] = np.load(unpack_hu(path, scratch) if stated else path, "r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CannotDecode(f"{path}: not a readable NumPy array ({error})") from error
        if array.dtype.kind not in "if" or array.ndim not in (2, 3) or array.size == 0:
            raise NotCT(f"{path}: {array.dtype} {array.shape}; HU are float or signed integer, (z, y, x) or (y, x)")
        self.shape = array.shape
        stack = array if array.ndim == 3 else array[np.newaxis]
        super().__init__(path, stack, read_geometry(path) if stated else None)
        if not stated and self.lowest > AIR:
            raise NotCT(
                f"{path}: no value is below {AIR:g} ({self.lowest:g} to {self.highest:g}), so these may not be HU; "
                "if they are, say so by saving an .npz with the key 'hu'"
            )
        if self.geometry is None:
            self.warnings.append(NO_SPACING)


def unpack_hu(path: Path, scratch: Path) -> Path:
    """The 'hu' array of an .npz as a file of its own. Raises CannotDecode, or NotCT when there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if HU_MEMBER not in archive.namelist():
                keys = ", ".join(name.removesuffix(".npy") for name in archive.namelist())
                raise NotCT(f"{path}: has no key 'hu' (keys: {keys}); save the image in HU under that name")
            with archive.open(HU_MEMBER) as source, (scratch / HU_MEMBER).open("wb") as file:
                Budget(path, path.stat().st_size).copy(source, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise CannotDecode(f"{path}: not a readable .npz file ({error})") from error
    return scratch / HU_MEMBER


def read_geometry(path: Path) -> Geometry | None:
    """The grid an .npz states; None when it gives no spacing. Raises NotCT when what it gives has no meaning."""
    with zipfile.ZipFile(path) as archive:
        spacing = _small(path, archive, "spacing", (3,))
        origin = _small(path, archive, "origin", (3,))
        direction = _small(path, archive, "direction", (3, 3))
    if spacing is None:
        return None
    axes = AXIAL if direction is None else (_vector(direction[0]), _vector(direction[1]), _vector(direction[2]))
    return Geometry(_vector(spacing), (0.0, 0.0, 0.0) if origin is None else _vector(origin), axes)


def _vector(values: NDArray[Any]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def _small(path: Path, archive: zipfile.ZipFile, key: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if f"{key}.npy" not in archive.namelist():
        return None
    try:
        with archive.open(f"{key}.npy") as file:
            values: NDArray[Any] = np.load(io.BytesIO(file.read(SMALL)), allow_pickle=False)
    except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise CannotDecode(f"{path}: key '{key}' is not readable ({error})") from error
    if values.shape != shape or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise NotCT(f"{path}: key '{key}' must be {shape} finite numbers in mm, not {values.dtype} {values.shape}")
    return values


class NumpySink(ArraySink):
    """Writes the kind of file the source is, with the same type, shape and keys."""

    def __init__(self, source: NumpySource, output: Path) -> None:
        super().__init__(source, output, output.stem)
        self._numpy = source
        self._archive: zipfile.ZipFile | None = None
        if output.suffix != source.path.suffix:
            raise OutputRefused(f"{output}: the result of a {source.path.suffix} file is one; let the name end so")

    def _begin(self, hidden: Path) -> IO[bytes]:
        if self._output.suffix == ".npz":
            self._archive = zipfile.ZipFile(hidden, "w", zipfile.ZIP_DEFLATED)
            file = self._archive.open(HU_MEMBER, "w", force_zip64=True)
        else:
            file = hidden.open("wb")
        kind = npy.dtype_to_descr(self._numpy.stored.dtype)
        npy.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": self._numpy.shape})
        return file

    def _end(self, complete: bool) -> None:
        super()._end(complete)
        if self._archive is None:
            return
        if not complete:
            self._archive.close()
            return
        with self._archive as target, zipfile.ZipFile(self._numpy.path) as source:
            for name in source.namelist():
                if name != HU_MEMBER:
                    target.writestr(name, source.read(name))
