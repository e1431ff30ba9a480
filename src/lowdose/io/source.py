"""The two faces every file format shows the rest: a series read slice by slice, and one written slice by slice."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from lowdose.volume import HU, Acquisition, Geometry, Slice


class Source(Protocol):
    """A CT series in spatial order. Nothing but headers is held; ``read`` decodes one slice.

    geometry is None when the series has no single grid (uneven gaps, mixed sizes, no positions).
    warnings: what a user must know of this series; skipped: one line per file left out, and why.
    uids: SeriesInstanceUID and SOPInstanceUIDs, for the run manifest only; empty for other formats.
    """

    acquisition: Acquisition
    geometry: Geometry | None
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
