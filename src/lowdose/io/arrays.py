"""Base classes for NIfTI and NumPy files: slices of a memory-mapped array, read and written as they were stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import NotCT, OutputRefused
from lowdose.image import HU, Acquisition, Geometry, Slice
from lowdose.io.atomic import AtomicFiles, output_errors
from lowdose.io.dicom.padding import valid_mask
from lowdose.io.dicom.rescale import StoredPixels, changed_pixels, nearest, to_hu, unrounded
from lowdose.io.source import MAX_PIXELS, Plane, SliceFile

FILE_ENDINGS = (".nii.gz", ".nii", ".npy", ".npz")
"""Endings of array files."""

AIR = -300.0
"""HU below which every CT image holds values, because there is air around or inside the object."""


@dataclass(frozen=True)
class ArrayOrigin:
    """Stored pixels of a slice of an array file, kept for writing it back.

    Attributes
    ----------
    index : int
        Number of the slice in the file.
    stored : (y, x) array
        Pixels with the type and values that they have in the file.
    """

    index: int
    stored: StoredPixels


class ArraySource:
    """Series in one array file; HU = stored * slope + intercept.

    ``stored`` is (z, y, x), memory-mapped from disk. Raises NotCT when values are not finite or slices are absurdly
    large.
    """

    no_grid: ClassVar[str]
    """Warning of a file that states no grid."""

    def refuse_other_name(self, output: Path) -> None:
        """Raise OutputRefused for a name that does not end as a file of this kind does."""
        raise NotImplementedError

    def __init__(
        self, path: Path, stored: NDArray[Any], geometry: Geometry | None, slope: float = 1.0, intercept: float = 0.0
    ) -> None:
        if stored.shape[1] * stored.shape[2] > MAX_PIXELS:
            raise NotCT(f"{path}: slices of {stored.shape[1]} x {stored.shape[2]} pixels: no CT image is that large")
        self.path = path
        self.stored = stored
        self.geometry = geometry
        self.acquisition = Acquisition(thickness_mm=geometry.spacing[0] if geometry else None)
        self.warnings: list[str] = []
        self.skipped: list[str] = []
        self.uids: dict[str, object] = {}
        self.slope, self.intercept = slope, intercept
        self.planes = planes(geometry, len(stored), (stored.shape[1], stored.shape[2]))
        self.lowest, self.highest = self._range()

    def _range(self) -> tuple[float, float]:
        """Return the smallest and the largest HU of the series, in one pass over the file."""
        extremes: list[float] = []
        for image in self.stored:
            low, high = float(image.min()), float(image.max())
            if not np.isfinite([low, high]).all():
                raise NotCT(f"{self.path}: holds NaN or infinity; replace them by the HU of air, -1000, first")
            extremes += [low * self.slope + self.intercept, high * self.slope + self.intercept]
        return min(extremes), max(extremes)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def files(self) -> list[SliceFile]:
        """The one file, and the number of each slice in it."""
        return [SliceFile(self.path, index) for index in range(len(self))]

    def read(self, index: int) -> Slice:
        """Read one slice in HU."""
        stored = np.ascontiguousarray(self.stored[index])
        hu = to_hu(stored, self.slope, self.intercept)
        plane = self.planes[index]
        return Slice(hu, valid_mask(hu, None, False), plane.position, plane.pixel_mm, ArrayOrigin(index, stored))

    def restore(self, original: Slice, hu: HU) -> StoredPixels:
        """Convert a result in HU to stored values of the source's type.

        Pixels whose HU did not change keep their stored value bit for bit.
        """
        stored: StoredPixels = original.origin.stored
        changed = changed_pixels(hu, original.hu, original.valid)
        values: StoredPixels = unrounded(hu, self.slope, self.intercept)
        if stored.dtype.kind in "iu":
            limits = np.iinfo(stored.dtype)
            values = nearest(values, int(limits.min), int(limits.max))
        result = stored.copy()
        np.copyto(result, values.astype(stored.dtype), where=changed)
        return result


def planes(geometry: Geometry | None, count: int, shape: tuple[int, int]) -> list[Plane]:
    """Return the plane of each slice of a regular stack; without a grid, planes that state only their shape."""
    if geometry is None:
        return [Plane(shape)] * count
    step = np.array(geometry.direction[0])
    axes = geometry.direction[1], geometry.direction[2]
    result = []
    for index in range(count):
        x, y, z = (float(value) for value in np.array(geometry.origin) + index * geometry.spacing[0] * step)
        position = float(np.dot((x, y, z), step))
        result.append(Plane(shape, geometry.spacing[1:], (x, y, z), axes, position))
    return result


def is_single_file(path: Path) -> bool:
    """Whether a path names a NIfTI or NumPy file, and not a folder of DICOM."""
    return path.name.lower().endswith(FILE_ENDINGS)


def companion_path(output: Path, name: str) -> Path:
    """Return where a file goes that belongs to an array file.

    "manifest.json" becomes NAME.json and "preview.png" becomes NAME.preview.png, where NAME is the output's.
    """
    ending = next((known for known in FILE_ENDINGS if output.name.lower().endswith(known)), output.suffix)
    stem = output.name[: len(output.name) - len(ending)]
    return output.with_name(f"{stem}.{'json' if name == 'manifest.json' else name}")


class ArraySink:
    """Writer that streams slices, in order, into one array file.

    A subclass opens the file and writes what comes before and after the slices. The file appears under its name only
    when it is complete. Raises OutputRefused.
    """

    def __init__(self, source: ArraySource, output: Path) -> None:
        self._source, self._output = source, output
        self._files = AtomicFiles(output)
        self._written = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            with output_errors(self._output):
                self._file = self._begin(self._files.add(self._output))
        except BaseException:
            self._files.discard()
            raise
        return self

    def _begin(self, hidden: Path) -> IO[bytes]:
        """Open the temporary file ``hidden`` and write what comes before the slices."""
        raise NotImplementedError

    def _end(self, complete: bool) -> None:
        """Close the file; a subclass first adds what follows the slices when ``complete``."""
        if self._file is not None:
            self._file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            complete = self._written == len(self._source)
            with output_errors(self._output):
                self._end(complete and kind is None)
            if kind is None and not complete:
                count = f"{self._written} of {len(self._source)}"
                raise OutputRefused(f"{self._output}: {count} slices were written; nothing is kept")
            if kind is None:
                self._files.commit()
        finally:
            self._files.discard()

    def write(self, original: Slice, hu: HU) -> None:
        """Write the result for the next slice, (y, x) in HU."""
        origin = original.origin
        if not isinstance(origin, ArrayOrigin) or origin.index != self._written or self._file is None:
            raise OutputRefused(f"{self._output}: slices must be those of the source, in its order")
        with output_errors(self._output):
            self._file.write(self._source.restore(original, hu).tobytes())
        self._written += 1

    def attach(self, name: str, data: bytes) -> None:
        """Write one more file beside the output, see ``companion_path``."""
        hidden = self._files.add(companion_path(self._output, name))
        with output_errors(self._output):
            hidden.write_bytes(data)
