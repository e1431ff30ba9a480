"""Who draws the organs: the anatomy network, slice by slice, or TotalSegmentator, a whole series at once."""

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
SegmentedVersions = tuple["SliceVersions", Mapping[str, Labels]]


@dataclass(frozen=True)
class SliceVersions:
    """One slice in every version: label -> (y, x) HU, with air where either series is padded (not ``valid``)."""

    position: float | None
    pixel_mm: tuple[float, float] | None
    valid: Mask
    hu: Mapping[str, HU]


class Segmenter(Protocol):
    """sha256: of its weights, '' where they are another's. organs: number -> name of everything that is judged.

    table: (256,) number in ``anatomical_labels.FEATURE_NETWORKS`` -> number here, 0 for what is not drawn here.
    """

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def organs(self) -> Mapping[int, str]: ...

    @property
    def table(self) -> Labels: ...

    def check(self, case: PairedSeries) -> None:
        """Raises GeometryMismatch when it cannot draw this series."""
        ...

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        """Every slice with its labels, (y, x) by version. ``drawn`` gets how many more images are done."""
        ...


def load_segmenter(name: str, device: torch.device) -> Segmenter:
    """'anatomy', 'total_segmentator' or an anatomy network's own file.

    Raises InvalidSetting or IncompatibleCheckpoint when it is not to be had.
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
    """The anatomy network: the organs of ``organ_classes.ORGANS``."""

    def __init__(self, network: anatomy.Anatomy, name: str, sha256: str, device: torch.device) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self._network = network
        self.organs = {INDEX[organ.name]: organ.name for organ in ORGANS}
        self.table = classes_of(np.arange(256, dtype=np.uint8))

    def check(self, case: PairedSeries) -> None:
        """A slice is all it needs."""

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        for item in slices:
            labels = {}
            for name, hu in item.hu.items():
                labels[name] = segmentation.segment_slice(self._network, hu, item.pixel_mm)
                drawn(1)
            yield item, labels


class TotalSegmentator:
    """TotalSegmentator: its 117 classes under their own names. Images and labels wait on disk, not in memory.

    Raises InvalidSetting when it is not installed.
    """

    name, sha256 = TOTAL_SEGMENTATOR, ""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.organs = total_segmentator.class_names()
        numbers = {name: number for number, name in self.organs.items()}
        self.table = np.array([numbers.get(NAMES.get(label, ""), 0) for label in range(256)], np.uint8)

    def check(self, case: PairedSeries) -> None:
        regular_grid(case)

    def draw(
        self, case: PairedSeries, slices: Iterable[SliceVersions], drawn: Callable[[int], None]
    ) -> Iterator[SegmentedVersions]:
        with TemporaryDirectory(prefix="lowdose-") as folder:
            store = _Store(Path(folder), regular_grid(case), len(case.pairs))
            for item in slices:
                store.add(item)
            for name in store.names:
                store.segment(name, self.device, f"{case.full.path}, {name}")
                drawn(len(case.pairs))
            yield from store.drawn()


class _Store:
    """All versions of a series in files, slice after slice: HU as NIfTI images, labels and valid pixels (z, y, x)."""

    def __init__(self, folder: Path, geometry: Geometry, count: int) -> None:
        self._folder, self._geometry, self._count = folder, geometry, count
        self._bare: list[SliceVersions] = []
        self._shape = (0, 0, 0)
        self.names: list[str] = []

    def add(self, item: SliceVersions) -> None:
        rows, columns = item.valid.shape
        if not self._bare:
            self.names, self._shape = list(item.hu), (self._count, rows, columns)
            for name in self.names:
                self._image(name).write_bytes(total_segmentator.nifti_header(self._geometry, self._shape))
        # Appended, not mapped: a full disk is then an error that is told, not the end of the process.
        for file, values in [(self._valid, item.valid), *((self._image(name), hu) for name, hu in item.hu.items())]:
            with file.open("ab") as open_file:
                open_file.write(values.tobytes())
        self._bare.append(replace(item, hu={}, valid=np.empty(0, np.bool_)))

    def segment(self, name: str, device: torch.device, what: str) -> None:
        labels = total_segmentator.segment(self._image(name), self._shape, device, what)
        self._labels(name).write_bytes(labels.tobytes())

    def drawn(self) -> Iterator[SegmentedVersions]:
        valid = np.memmap(self._valid, np.bool_, "r", shape=self._shape)
        start = len(total_segmentator.nifti_header(self._geometry, self._shape))
        hu = {name: np.memmap(self._image(name), "<f4", "r", start, self._shape) for name in self.names}
        labels = {name: np.memmap(self._labels(name), np.uint8, "r", shape=self._shape) for name in self.names}
        for number, item in enumerate(self._bare):
            images = {name: np.array(image[number]) for name, image in hu.items()}
            organs = {name: np.array(drawn[number]) for name, drawn in labels.items()}
            yield replace(item, hu=images, valid=np.array(valid[number])), organs

    @property
    def _valid(self) -> Path:
        return self._folder / "valid"

    def _image(self, name: str) -> Path:
        return self._folder / f"{self.names.index(name)}.nii"

    def _labels(self, name: str) -> Path:
        return self._folder / f"{self.names.index(name)}.labels"


def regular_grid(case: PairedSeries) -> Geometry:
    """The grid of a case's slices. Raises GeometryMismatch when they are not one regular stack without gaps."""
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
