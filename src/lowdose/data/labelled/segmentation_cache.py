"""Real slices of normal dose with the class of every pixel, kept on disk: each is segmented once, not at each look.

One file of HU and one of classes a slice, each made whole or not at all, so a build that was interrupted goes on and
several processes may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.image import HU
from lowdose.io.atomic import output_errors
from lowdose.io.atomic_replace import replace_array

Segment = Callable[[HU, tuple[float, float] | None], NDArray[np.uint8]]
"""(y, x) HU and pixel in mm -> (y, x) of ``organ_classes.CLASSES``."""


class SegmentationCache:
    """``items`` with their classes in ``folder``; ``build`` makes those that are missing. ``segmenter``: hash of its
    weights, so that another one's classes are not taken for its own.
    """

    def __init__(self, folder: Path, items: Sequence[NormalDoseSlice], segmenter: str) -> None:
        self.folder, self.items = folder, items
        self._segmenter = segmenter

    def __len__(self) -> int:
        return len(self.items)

    def build(self, segment: Segment, progress: Callable[[int, int], None], share: tuple[int, int] = (0, 1)) -> None:
        """Makes what is missing; with share = (k, n) every n-th slice from k. Raises OutputRefused."""
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        mine = range(share[0], len(self.items), share[1])
        for done, number in enumerate(mine, start=1):
            hu, classes = self._files(number)
            if not classes.exists():
                item = self.items[number]
                image = item.read()
                whole = np.rint(np.clip(np.nan_to_num(image, nan=-1024.0), -32768, 32767)).astype(np.int16)
                replace_array(hu, whole)
                replace_array(classes, segment(image, item.pixel_mm))  # the last: with it a slice is complete
            progress(done, len(mine))

    def __getitem__(self, index: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """(y, x) HU, and their classes, as views of the files."""
        hu, classes = (np.load(file, mmap_mode="r") for file in self._files(index))
        return hu, classes

    def _files(self, number: int) -> tuple[Path, Path]:
        key = self.items[number].key
        return self.folder / f"{key}-hu.npy", self.folder / f"{key}-{self._segmenter[:8]}.npy"
