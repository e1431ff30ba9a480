"""Interfaces of all file formats: a series read slice by slice, and one written slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from lowdose.image import HU, Acquisition, Geometry, Slice, Vector

MAX_PIXELS = 1 << 26
"""Limit of the number of pixels of a slice, 8192 x 8192.

No CT slice is larger, and a header with a larger size could make a decoder request any amount of memory.
"""

Rescale = tuple[float, float]
"""Slope and intercept in HU: HU = stored value * slope + intercept."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Location of one slice, known without decoding its pixels; None where a value is not stated.

    Attributes
    ----------
    shape : tuple of 2 int
        Number of rows and columns.
    pixel_mm : tuple of 2 floats or None, mm
        Distance from row to row and from column to column.
    corner : Vector or None, mm
        Centre of the first pixel, (x, y, z) in LPS.
    axes : tuple of 2 unit vectors or None
        LPS direction down the rows (from row to row) and along the columns (from column to column).
    position : float or None, mm
        Position along the slice normal.
    mas : float or None, mAs
        Effective tube current-time product.
    stack : int
        Number of the stack that the slice is part of, from 0: a series may hold several at the same places, as those
        of contrast phases.
    """

    shape: tuple[int, int]
    pixel_mm: tuple[float, float] | None = None
    corner: Vector | None = None
    axes: tuple[Vector, Vector] | None = None
    position: float | None = None
    mas: float | None = None
    stack: int = 0


@dataclass(frozen=True, slots=True)
class SliceFile:
    """Where one slice is stored.

    Attributes
    ----------
    path : Path
        The file; that of an unpacked copy where the series is in an archive.
    frame : int
        Number of the slice in the file, from 0.
    sop_uid : str
        SOPInstanceUID; empty for formats without one.
    """

    path: Path
    frame: int = 0
    sop_uid: str = ""


@runtime_checkable
class Source(Protocol):
    """CT series in spatial order, of which only headers are held; ``read`` decodes one slice at a time.

    Attributes
    ----------
    path : Path
        Where the series was read from, for messages.
    acquisition : Acquisition
        How the series was acquired.
    geometry : Geometry or None
        Grid of the series. None when it has no single one: uneven gaps, mixed sizes or no positions.
    planes : list of Plane
        Location of each slice, in order.
    warnings : list of str
        What a user must know about this series.
    skipped : list of str
        One line for each file that was left out, with the reason.
    uids : dict
        SeriesInstanceUID and SOPInstanceUIDs, for the run manifest only; empty for formats other than DICOM.
    """

    path: Path
    acquisition: Acquisition
    geometry: Geometry | None
    planes: list[Plane]
    warnings: list[str]
    skipped: list[str]
    uids: dict[str, object]

    @property
    def files(self) -> list[SliceFile]:
        """Where each slice is stored."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Slice:
        """Decode slice ``index``."""
        ...


def stacks_of(source: Source) -> list[Source]:
    """Return every stack of a series as a series of its own; a series of one stack is that stack."""
    split = getattr(source, "stacks", None)
    return [source] if split is None else list(split())


class SliceSink(Protocol):
    """What takes every slice of a source once, in order."""

    def write(self, original: Slice, hu: HU) -> None:
        """Take the result ``hu``, (y, x) in HU, for the slice ``original`` as it was read."""
        ...


class Sink(SliceSink, Protocol):
    """Writer that takes every slice of a source once, in order.

    The output appears under its name only when all slices are written. Leaving the ``with`` block by an exception
    removes everything.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def attach(self, name: str, data: bytes) -> None:
        """Add one more file, such as a preview or a manifest, which appears together with the output."""
        ...
