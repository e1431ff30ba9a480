"""DICOM series as a Source: headers are read once and reduced, pixels are read slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.image import Slice
from lowdose.io.dicom.arrangement import arrange
from lowdose.io.dicom.copies import drop_copies
from lowdose.io.dicom.grid import find_grid
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.padding import declared, valid_mask
from lowdose.io.dicom.pixels import read_stored
from lowdose.io.dicom.rescale import StoredPixels, to_hu
from lowdose.io.dicom.series_catalog import SeriesCatalog, choose_series, read_headers, scan_path
from lowdose.io.dicom.series_identity import uid_of
from lowdose.io.source import Plane, Rescale, SliceFile

COARSE_STEP = 2.0
"""Difference in HU between neighbouring stored values above which a warning is given."""


@dataclass(frozen=True)
class Origin:
    """What the writer needs to know of a slice.

    Attributes
    ----------
    image : SliceHeader
        Header values.
    stored : (rows, columns) array
        Pixels exactly as stored.
    """

    image: SliceHeader
    stored: StoredPixels


class DicomSource:
    """CT series from one file, or from a folder, which is searched recursively.

    ``series`` chooses one of several by SeriesInstanceUID or its unique ending. ``rescale`` is for images that do not
    state their slope and intercept. Raises NothingToRead, NotCT, MixedSeries, InvalidSetting or CannotDecode.
    """

    rescale: Rescale | None = None

    def __init__(self, path: Path, series: str | None = None, rescale: Rescale | None = None) -> None:
        self._load(path, scan_path(path, rescale), series)
        if rescale is not None and all(image.own_scale for image in self.images):
            raise InvalidSetting(
                f"--rescale {rescale[0]:g},{rescale[1]:g}: every image of {path} states its slope and intercept; "
                "leave it out"
            )
        self.rescale = rescale

    @classmethod
    def in_folders(cls, root: Path, folders: Sequence[Path], series: str, rescale: Rescale | None = None) -> Self:
        """Return the series of this name from the files that lie directly in ``folders``, all below ``root``.

        ``rescale`` is for those of its images that do not state their slope and intercept, if there are any.
        """
        source = cls.__new__(cls)
        files = [file for folder in folders for file in sorted(folder.iterdir()) if not file.is_dir()]
        source._load(root, read_headers(root, files, rescale), series)
        source.rescale = rescale
        return source

    def _load(self, path: Path, catalog: SeriesCatalog, series: str | None) -> None:
        keep_memory()
        group, files, skipped = choose_series(catalog, series)
        files, copies, copy_warnings = drop_copies(files)
        arranged = arrange([image for file in files for image in file.images])
        self.path, self.images = path, arranged.images
        if not self.images:
            raise NothingToRead(f"{path}: the series has no frames")
        self.skipped = [*skipped, *copies, *arranged.set_aside]
        self.planes: list[Plane] = [image.plane for image in self.images]
        self.geometry, grid_messages = find_grid(self.images)
        odd = [*group.warnings, *copy_warnings, *arranged.warnings]
        self.warnings = [*odd, *grid_messages, *_coarse_warning(self.images)]
        self.acquisition = files[0].acquisition
        self._acquisitions = {file.path: file.acquisition for file in files}
        frames = {file.frame for file in files} - {""}
        self.frame_of_reference = frames.pop() if len(frames) == 1 else ""
        self.patient_keys = frozenset().union(*(file.patient_keys for file in files))
        self.uids: dict[str, object] = {
            "study": next((file.study for file in files if file.study), ""),
            "series": uid_of(group.name),
            "instances": list(dict.fromkeys(image.sop_uid for image in self.images)),
        }

    def __len__(self) -> int:
        return len(self.images)

    @property
    def files(self) -> list[SliceFile]:
        """File and frame of each slice."""
        return slice_files(self.images)

    def stacks(self) -> list[Self]:
        """Return each stack as a series of its own, with its own grid and acquisition."""
        numbers = dict.fromkeys(plane.stack for plane in self.planes)
        return [self] if len(numbers) == 1 else [self._stack(number) for number in numbers]

    def _stack(self, number: int) -> Self:
        part = copy(self)
        part.images = [image for image in self.images if image.plane.stack == number]
        part.planes = [plane for plane in self.planes if plane.stack == number]
        part.geometry, _ = find_grid(part.images)
        part.acquisition = self._acquisitions[part.images[0].path]
        part.uids = {**self.uids, "instances": list(dict.fromkeys(image.sop_uid for image in part.images))}
        part.warnings, part.skipped = [], []
        return part

    def read(self, index: int) -> Slice:
        """Decode one slice; raise CannotDecode naming the file."""
        return read_slice(self.images[index], self.planes[index])


def slice_files(images: Sequence[SliceHeader]) -> list[SliceFile]:
    """Return file and frame of each slice."""
    return [SliceFile(image.path, image.frame, image.sop_uid) for image in images]


def read_slice(image: SliceHeader, plane: Plane) -> Slice:
    """Decode one slice of known place and pixels; raise CannotDecode naming the file."""
    pixel_format = image.pixels
    stored = read_stored(image.path, image.frame, pixel_format)
    values = pixel_format.values(stored)
    hu = to_hu(values, image.slope, image.intercept)
    scale = image.slope, image.intercept
    padding = None if image.padding is None else declared(stored, values, image.padding, *scale)
    valid = valid_mask(hu, padding, image.lossy)
    return Slice(hu, valid, plane.position, plane.pixel_mm, Origin(image, stored))


def keep_memory() -> None:
    """Let the C library keep the memory of one slice for the next.

    By default it returns freed blocks that are larger than any freed before to the kernel, and getting them again, page
    by page, takes longer than decoding a slice. Freeing one large block that was never touched raises that threshold.
    """
    np.empty(16 << 20, dtype=np.uint8)


def _coarse_warning(images: list[SliceHeader]) -> list[str]:
    step = max(abs(image.slope) for image in images)
    return [f"Stored values are {step:g} HU apart: this file is a coarse copy."] if step > COARSE_STEP else []
