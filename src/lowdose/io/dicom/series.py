"""A DICOM series as a Source: headers are read once and reduced, pixels are read slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lowdose.errors import NothingToRead
from lowdose.image import Slice
from lowdose.io.dicom.grid import find_grid, sort_by_position
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.padding import declared, valid_mask
from lowdose.io.dicom.pixels import read_stored
from lowdose.io.dicom.rescale import StoredPixels, to_hu
from lowdose.io.dicom.series_catalog import SeriesCatalog, choose_series, read_headers, scan_path
from lowdose.io.source import Plane

COARSE_STEP = 2.0
"""HU between neighbouring stored values from which a user is warned."""


@dataclass(frozen=True)
class Origin:
    """What the writer needs of a slice: its header, and its pixels exactly as stored, (rows, columns)."""

    image: SliceHeader
    stored: StoredPixels


class DicomSource:
    """One CT series from a folder (searched to its bottom) or one file.

    ``series`` chooses among several by SeriesInstanceUID or its unique ending. Raises NothingToRead, NotCT,
    MixedSeries, InvalidSetting or CannotDecode.
    """

    def __init__(self, path: Path, series: str | None = None) -> None:
        self._take(path, scan_path(path), series)

    @classmethod
    def in_folders(cls, root: Path, folders: Sequence[Path], series: str) -> Self:
        """The series of this UID out of the files that lie directly in ``folders``, which lie below ``root``."""
        found = cls.__new__(cls)
        files = [file for folder in folders for file in sorted(folder.iterdir()) if not file.is_dir()]
        found._take(root, read_headers(root, files), series)
        return found

    def _take(self, path: Path, catalog: SeriesCatalog, series: str | None) -> None:
        keep_memory()
        files, self.skipped = choose_series(catalog, series)
        self.path = path
        self.images, told = sort_by_position([image for file in files for image in file.images])
        if not self.images:
            raise NothingToRead(f"{path}: the series has no frames")
        self.planes: list[Plane] = [image.plane for image in self.images]
        self.geometry, irregular = find_grid(self.images)
        self.warnings = [*told, *irregular, *_coarse(self.images)]
        self.acquisition = files[0].acquisition
        self.patient_keys = frozenset().union(*(file.patient_keys for file in files))
        self.uids: dict[str, object] = {
            "study": files[0].study,
            "series": files[0].series,
            "instances": list(dict.fromkeys(image.sop_uid for image in self.images)),
        }

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Slice:
        """Decodes one slice. Raises CannotDecode naming the file."""
        image = self.images[index]
        form = image.pixels
        stored = read_stored(image.path, image.frame, form)
        values = form.values(stored)
        hu = to_hu(values, image.slope, image.intercept)
        scale = image.slope, image.intercept
        padded = None if image.padding is None else declared(stored, values, image.padding, *scale)
        valid = valid_mask(hu, padded, image.lossy)
        return Slice(hu, valid, image.plane.position, image.plane.pixel_mm, Origin(image, stored))


def keep_memory() -> None:
    """Lets the C library keep the memory of one slice for the next.

    It hands freed blocks larger than any freed before back to the kernel, and getting them again, page by page, costs
    more than decoding a slice. Freeing one large block that was never touched ends that.
    """
    np.empty(16 << 20, dtype=np.uint8)


def _coarse(images: list[SliceHeader]) -> list[str]:
    step = max(abs(image.slope) for image in images)
    return [f"Stored values are {step:g} HU apart: this file is a coarse copy."] if step > COARSE_STEP else []
