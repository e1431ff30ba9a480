"""Segmenters of organs: the anatomy network, slice by slice, and TotalSegmentator, a whole series at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.anatomical_labels import NAMES
from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.evaluation import total_segmentator
from lowdose.image import HU, Geometry, Mask
from lowdose.io.pairing import PairedSeries
from lowdose.networks import anatomy, segmentation
from lowdose.organ_classes import INDEX, ORGANS, classes_of

ANATOMY, TOTAL_SEGMENTATOR = "anatomy", "total_segmentator"
Labels = NDArray[np.uint8]
"""Number of the organ of each pixel (y, x); 0 is none."""

SegmentedVersions = tuple["SliceVersions", Mapping[str, Labels]]
"""A slice and the segmentation of each of its versions, by image name."""


@dataclass(frozen=True)
class SliceVersions:
    """One slice in all versions: low dose, each model's result, full dose.

    Attributes
    ----------
    position : float or None, mm
        Position of the slice.
    pixel_mm : (float, float) or None, mm
        Distance of the rows and of the columns.
    valid : array of bool
        Mask (y, x) of the pixels that neither series has as padding.
    hu : mapping of str to array, HU
        Each version (y, x), by image name, with air where not ``valid``.
    """

    position: float | None
    pixel_mm: tuple[float, float] | None
    valid: Mask
    hu: Mapping[str, HU]


class Segmenter(Protocol):
    """Segmenter of the organs in all versions of a series."""

    @property
    def name(self) -> str:
        """Name of the segmenter."""
        ...

    @property
    def sha256(self) -> str:
        """Checksum of its weights; '' if they are not files of lowdose."""
        ...

    @property
    def device(self) -> torch.device:
        """Device that it runs on."""
        ...

    @property
    def organs(self) -> Mapping[int, str]:
        """Name of each organ that it segments, by number."""
        ...

    @property
    def table(self) -> Labels:
        """Its own number (0: not segmented) for each label of ``anatomical_labels.NAMES``; shape (256,)."""
        ...

    def check(self, case: PairedSeries) -> None:
        """Raise GeometryMismatch if this series cannot be segmented."""
        ...

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        """Segment all versions of all slices, and yield each slice with its labels.

        ``drawn`` is called with the number of images segmented since the last call.
        """
        ...


def load_segmenter(name: str, device: torch.device) -> Segmenter:
    """Load a segmenter: 'anatomy', 'total_segmentator', or the weights file of an anatomy network.

    Raises InvalidSetting for any other name and if TotalSegmentator is not installed, IncompatibleCheckpoint if the
    file cannot be used.
    """
    if name == TOTAL_SEGMENTATOR:
        return TotalSegmentator(device)
    path = None if name == ANATOMY else Path(name)
    if path is not None and path.suffix != ".safetensors":
        raise InvalidSetting(
            f"--segmenter {name}: must be {ANATOMY}, {TOTAL_SEGMENTATOR} or a .safetensors file of "
            "'lowdose train anatomy'"
        )
    network, sha256 = anatomy.read_anatomy(path)
    return AnatomySegmenter(network.to(device), path.stem if path else ANATOMY, sha256, device)


class AnatomySegmenter:
    """The anatomy network of lowdose, which segments the organs of ``organ_classes.ORGANS``."""

    def __init__(self, network: anatomy.Anatomy, name: str, sha256: str, device: torch.device) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self._network = network
        self.organs = {INDEX[organ.name]: organ.name for organ in ORGANS}
        self.table = classes_of(np.arange(256, dtype=np.uint8))

    def check(self, case: PairedSeries) -> None:
        """Accept every series: this network segments single slices."""

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        """Segment slice by slice."""
        for item in slices:
            labels = {}
            for name, hu in item.hu.items():
                labels[name] = segmentation.segment_slice(self._network, hu, item.pixel_mm)
                drawn(1)
            yield item, labels


class TotalSegmentator:
    """TotalSegmentator, with its 117 classes under their own names.

    Images and labels of a series are kept on disk, not in memory. Raises InvalidSetting if it is not installed.
    """

    name, sha256 = TOTAL_SEGMENTATOR, ""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.organs = total_segmentator.class_names()
        numbers = {name: number for number, name in self.organs.items()}
        self.table = np.array([numbers.get(NAMES.get(label, ""), 0) for label in range(256)], np.uint8)

    def check(self, case: PairedSeries) -> None:
        """Raise GeometryMismatch if the slices are not one regular stack without gaps."""
        regular_grid(case)

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        """Write all slices to disk, segment each version as a whole, and read the slices back."""
        with TemporaryDirectory(prefix="lowdose-") as folder:
            store = _SeriesStore(Path(folder), regular_grid(case), len(case.pairs))
            for item in slices:
                store.add(item)
            for name in store.names:
                store.segment(name, self.device, f"{case.full.path}, {name}")
                drawn(len(case.pairs))
            yield from store.segmented_slices()


class _SeriesStore:
    """All versions of a series in files, slice after slice: HU as NIfTI images, labels and valid pixels (z, y, x).

    Attributes
    ----------
    names : list of str
        Names of the versions; empty before the first slice.
    """

    def __init__(self, folder: Path, geometry: Geometry, count: int) -> None:
        self._folder, self._geometry, self._count = folder, geometry, count
        self._slices: list[SliceVersions] = []  # without pixels
        self._shape = (0, 0, 0)
        self.names: list[str] = []

    def add(self, item: SliceVersions) -> None:
        """Append all versions of one slice to their files."""
        rows, columns = item.valid.shape
        if not self._slices:
            self.names, self._shape = list(item.hu), (self._count, rows, columns)
            for name in self.names:
                self._image(name).write_bytes(total_segmentator.nifti_header(self._geometry, self._shape))
        # Appended, not memory-mapped: a full disk then raises OSError instead of killing the process.
        for file, values in [(self._valid, item.valid), *((self._image(name), hu) for name, hu in item.hu.items())]:
            with file.open("ab") as open_file:
                open_file.write(values.tobytes())
        self._slices.append(replace(item, hu={}, valid=np.empty(0, np.bool_)))

    def segment(self, name: str, device: torch.device, what: str) -> None:
        """Segment one version with TotalSegmentator; ``what`` names the series in messages."""
        labels = total_segmentator.segment(self._image(name), self._shape, device, what)
        self._labels(name).write_bytes(labels.tobytes())

    def segmented_slices(self) -> Iterator[SegmentedVersions]:
        """Read the slices back, with the labels of every version."""
        valid = np.memmap(self._valid, np.bool_, "r", shape=self._shape)
        start = len(total_segmentator.nifti_header(self._geometry, self._shape))
        hu = {name: np.memmap(self._image(name), "<f4", "r", start, self._shape) for name in self.names}
        labels = {name: np.memmap(self._labels(name), np.uint8, "r", shape=self._shape) for name in self.names}
        for number, item in enumerate(self._slices):
            images = {name: np.array(image[number]) for name, image in hu.items()}
            slice_labels = {name: np.array(volume[number]) for name, volume in labels.items()}
            yield replace(item, hu=images, valid=np.array(valid[number])), slice_labels

    @property
    def _valid(self) -> Path:
        return self._folder / "valid"

    def _image(self, name: str) -> Path:
        return self._folder / f"{self.names.index(name)}.nii"

    def _labels(self, name: str) -> Path:
        return self._folder / f"{self.names.index(name)}.labels"


def regular_grid(case: PairedSeries) -> Geometry:
    """Return the grid of the slices of a case, which starts at the first paired slice.

    Raises GeometryMismatch if they are not one regular stack without gaps.
    """
    first = case.pairs[0][1]
    geometry = case.full.geometry
    if geometry is None or [j for _, j in case.pairs] != list(range(first, first + len(case.pairs))):
        reasons = " ".join(case.warnings) or "Its positions are not known."
        raise GeometryMismatch(
            f"{case.full.path}: TotalSegmentator needs a whole stack of slices at equal distances. {reasons} "
            "Take --segmenter anatomy, which draws slice by slice"
        )
    start = np.array(geometry.origin) + first * geometry.spacing[0] * np.array(geometry.direction[0])
    x, y, z = (float(value) for value in start)
    return replace(geometry, origin=(x, y, z))
