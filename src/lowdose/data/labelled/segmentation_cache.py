"""Normal-dose slices of real scans with their organ classes, kept on disk so that each is segmented only once.

Each slice has one file of HU and one of classes, each written completely or not at all, so an interrupted build can be
continued and several processes can build together.
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

Denoise = Callable[[HU], HU]
"""Function from (y, x) HU to the same slice without noise."""

Segment = Callable[[HU, tuple[float, float] | None], NDArray[np.uint8]]
"""Function from (y, x) HU and pixel size (mm) to (y, x) indices into ``organ_classes.CLASSES``."""


class SegmentationCache:
    """Slices with their organ classes, kept in ``folder``.

    ``build`` must have segmented the missing slices before they are read. segmenter: hash of the weights of the
    segmentation network, so that results of different networks are not mixed up; denoiser: likewise of the denoiser of
    the slices that are kept, '' for slices as they are.

    Attributes
    ----------
    folder : Path
        Folder of the files.
    items : sequence of NormalDoseSlice
        The slices.
    """

    def __init__(self, folder: Path, items: Sequence[NormalDoseSlice], segmenter: str, denoiser: str = "") -> None:
        self.folder, self.items = folder, items
        self._segmenter, self._denoiser = segmenter, denoiser

    def __len__(self) -> int:
        return len(self.items)

    def build(
        self,
        segment: Segment,
        progress: Callable[[int, int], None],
        share: tuple[int, int] = (0, 1),
        denoise: Denoise | None = None,
    ) -> None:
        """Segment the slices that are missing; with ``denoise``, keep them without noise.

        share: (k, n) = only every n-th slice from the k-th on, for n processes that build together. progress: called
        with (slices done, slices to do). Raises OutputRefused.
        """
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        mine = range(share[0], len(self.items), share[1])
        for done, number in enumerate(mine, start=1):
            hu, classes = self._files(number)
            if not (hu.exists() and classes.exists()):
                item = self.items[number]
                image = item.read()
                kept = np.nan_to_num(image, nan=-1024.0)
                if denoise is not None:
                    kept = denoise(kept)
                replace_array(hu, np.rint(np.clip(kept, -32768, 32767)).astype(np.int16))
                replace_array(classes, segment(image, item.pixel_mm))  # written last: it marks the slice as complete
            progress(done, len(mine))

    def __getitem__(self, index: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return the HU and the classes of a slice, each (y, x), as views of the files."""
        hu, classes = (np.load(file, mmap_mode="r") for file in self._files(index))
        return hu, classes

    def _files(self, number: int) -> tuple[Path, Path]:
        key = self.items[number].key
        kept = f"hu-{self._denoiser[:8]}" if self._denoiser else "hu"
        return self.folder / f"{key}-{kept}.npy", self.folder / f"{key}-{self._segmenter[:8]}.npy"
