"""The two faces every file format shows the rest: a series read slice by slice, and one written slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lowdose.image import HU, Acquisition, Geometry, Slice, Vector


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one slice lies, known without decoding it; None = not stated.

    shape: (rows, columns). pixel_mm: (down the rows, along the columns). corner: centre of the first pixel, mm, LPS.
    axes: unit vectors down the rows and along the columns. position: mm along the slice normal. mas: effective mAs.
    """

    shape: tuple[int, int]
    pixel_mm: tuple[float, float] | None = None
    corner: Vector | None = None
    axes: tuple[Vector, Vector] | None = None
    position: float | None = None
    mas: float | None = None


class Source(Protocol):
    """A CT series in spatial order. Nothing but headers is held; ``read`` decodes one slice.

    path: where it was read, for messages.
    geometry is None when the series has no single grid (uneven gaps, mixed sizes, no positions).
    planes: one per slice, in order.
    warnings: what a user must know of this series; skipped: one line per file left out, and why.
    uids: SeriesInstanceUID and SOPInstanceUIDs, for the run manifest only; empty for other formats.
    """

    path: Path
    acquisition: Acquisition
    geometry: Geometry | None
    planes: list[Plane]
    warnings: list[str]
    skipped: list[str]
    uids: dict[str, object]

    def __len__(self) -> int: ...

    def read(self, index: int) -> Slice: ...


class Sink(Protocol):
    """Takes every slice of a source once, in order; the output appears under its name only when all are written.

    Leaving the ``with`` block by an exception removes everything.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, original: Slice, hu: HU) -> None: ...

    def attach(self, name: str, data: bytes) -> None:
        """Puts one more file (a preview, a manifest) with the output; it appears together with it."""
        ...
