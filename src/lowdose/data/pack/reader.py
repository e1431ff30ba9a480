"""Reader of packs: stores of CT slices that are memory-mapped.

A pack is a folder ``NAME.pack`` of plain NumPy files and one JSON table. NumPy's own format, because it is specified,
stable and widely supported. One file for each dose and matrix size, because a mapped array has one shape. Uncompressed
int16, because then reading a patch of 64 x 64 touches only the memory pages that it lies on, and the operating system
caches what is used: training reads at the speed of memory, and even a hundred thousand slices need no memory of the
process. (Compressed chunks, as in Zarr or HDF5, would have to be decompressed whole for every patch.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.data.pack.index import TABLE, Int16Image, array_name, pixel_hash, read_table
from lowdose.errors import IncompatiblePack

ROLES = ("low", "full")


def is_pack(path: Path) -> bool:
    """Check whether a folder is a pack: it holds the table, or its name ends in .pack and it holds arrays."""
    return (path / TABLE).is_file() or (path.suffix == ".pack" and any(path.glob("*.npy")))


class Pack:
    """All slices of one pack.

    Raises IncompatiblePack when arrays and table do not belong together, judging by sizes and by the first and the last
    image of every array; ``damaged`` checks all images. Can be sent to another process, where it reopens its files.

    Attributes
    ----------
    path : Path
        Folder of the pack.
    series : list of SeriesRow
        Table of series.
    slices : list of SliceRow
        Table of slices.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.series, self.slices = read_table(path)
        for name, rows in self._by_array().items():
            self._check(name, rows)

    def image(self, role: str, index: int) -> Int16Image:
        """Return slice ``index`` at dose ``role`` ('low' or 'full'), (y, x) HU, as a view of the file, not read yet."""
        row = self.slices[index]
        view: Int16Image = self._arrays[array_name(role, row.shape)][row.row]
        return view

    def hu(self, role: str, index: int) -> NDArray[np.float32]:
        """Read slice ``index`` at dose ``role`` into memory, (y, x) float32 HU."""
        return self.image(role, index).astype(np.float32)

    def by_series(self, role: str) -> list[list[int]]:
        """Return, for every series, the indices of the slices held at dose ``role``: 'low', 'full', or 'both'."""
        members: list[list[int]] = [[] for _ in self.series]
        for index, row in enumerate(self.slices):
            if row.role in (role, "both"):
                members[row.series].append(index)
        return members

    def damaged(self) -> Iterator[str]:
        """Yield a sentence for every image that is not the one that was packed; reads the whole pack."""
        for index, row in enumerate(self.slices):
            for role in ROLES:
                expected = getattr(row, role)
                if expected and pixel_hash(self.image(role, index)) != expected:
                    yield f"{self.path / array_name(role, row.shape)}: image {row.row} is not what was packed"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_arrays", None)  # a mapped array would be sent as all of its values
        return state

    @cached_property
    def _arrays(self) -> dict[str, Int16Image]:
        return {name: self._open(name) for name in self._by_array()}

    def _by_array(self) -> dict[str, list[tuple[str, int]]]:
        """Return (expected hash, index of the slice) of every image, grouped by array."""
        arrays: dict[str, list[tuple[str, int]]] = {}
        for index, row in enumerate(self.slices):
            for role in ROLES:
                if expected := getattr(row, role):
                    arrays.setdefault(array_name(role, row.shape), []).append((expected, index))
        return arrays

    def _open(self, name: str) -> Int16Image:
        path = self.path / name
        try:
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise IncompatiblePack(f"{path}: is missing; copy the whole folder, or pack the data again") from error
        except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
            raise IncompatiblePack(f"{path}: is damaged or cut short; copy or pack the data again") from error
        return mapped.view(np.ndarray)  # a plain view: np.memmap is slow to index

    def _check(self, name: str, rows: list[tuple[str, int]]) -> None:
        array, shape = self._arrays[name], self.slices[rows[0][1]].shape
        if array.dtype != np.dtype("<i2") or array.shape != (len(rows), *shape) or not array.flags.c_contiguous:
            raise IncompatiblePack(
                f"{self.path / name}: holds {array.dtype} {array.shape}, the table lists {len(rows)} images of "
                f"{shape[0]} x {shape[1]}; the two are not of one pack"
            )
        if sorted(self.slices[index].row for _, index in rows) != list(range(len(rows))):
            raise IncompatiblePack(f"{self.path / TABLE}: lists rows of {name} twice or not at all; pack again")
        for expected, index in (rows[0], rows[-1]):
            if pixel_hash(array[self.slices[index].row]) != expected:
                raise IncompatiblePack(
                    f"{self.path / name}: its images are not those the table lists; the two are not of one pack, or "
                    "the file is damaged: copy or pack the data again"
                )
