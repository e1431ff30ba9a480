"""A packed slice store, read by memory mapping.

A pack is a folder ``NAME.pack`` of plain NumPy files and one JSON table. NumPy's own format, because it is specified,
kept, and read by everything; one file for each dose and matrix size, because a mapped array has one shape;
uncompressed int16, because then a patch of 64 x 64 touches only the pages it lies on and the operating system keeps
what is used: training reads at the speed of memory and a hundred thousand slices need none of it. (Compressed chunks,
as in Zarr or HDF5, would have to be inflated whole for every patch.)
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
    """Whether a folder is meant to be a pack: it holds the table, or is named as one and holds arrays."""
    return (path / TABLE).is_file() or (path.suffix == ".pack" and any(path.glob("*.npy")))


class Pack:
    """All slices of one packed store. series, slices: its table, in order.

    Raises IncompatiblePack when arrays and table do not belong together, as far as sizes and the first and last image
    of every array tell; ``damaged`` compares all. May be sent to another process: it opens its files there anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.series, self.slices = read_table(path)
        for name, rows in self._by_array().items():
            self._check(name, rows)

    def image(self, role: str, index: int) -> Int16Image:
        """Slice ``index`` at dose ``role`` ('low' or 'full'): (y, x) HU as a view of the file, nothing is read yet."""
        row = self.slices[index]
        view: Int16Image = self._arrays[array_name(role, row.shape)][row.row]
        return view

    def hu(self, role: str, index: int) -> NDArray[np.float32]:
        """The same read into memory, float32."""
        return self.image(role, index).astype(np.float32)

    def by_series(self, role: str) -> list[list[int]]:
        """For every series the slices held at dose ``role`` ('low', 'full') or, with 'both', at both."""
        found: list[list[int]] = [[] for _ in self.series]
        for index, row in enumerate(self.slices):
            if row.role in (role, "both"):
                found[row.series].append(index)
        return found

    def damaged(self) -> Iterator[str]:
        """A sentence for every image that is not the one that was packed; reads everything."""
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
        """(expected hash, index of the slice) of every image, by array."""
        found: dict[str, list[tuple[str, int]]] = {}
        for index, row in enumerate(self.slices):
            for role in ROLES:
                if expected := getattr(row, role):
                    found.setdefault(array_name(role, row.shape), []).append((expected, index))
        return found

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
