"""Results of a series kept in memory, and written later as they would have been at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from lowdose.api.reading import Input
from lowdose.errors import GeometryMismatch, OutputRefused
from lowdose.image import HU, Acquisition, Geometry, Mask, Slice
from lowdose.io.arrays import is_single_file
from lowdose.io.open_series import open_sink, open_source
from lowdose.io.provenance import Provenance
from lowdose.io.source import Sink, Source
from lowdose.io.write_volume import refuse_taken, write_volume
from lowdose.volume import Origin, Volume
from lowdose.volume_source import VolumeSource, origin_of

SeriesFiles = dict[str, bytes]
"""Name -> content of a file that goes with a series."""


@dataclass(frozen=True)
class SeriesInMemory:
    """New values for every slice of a series, and how to write them.

    Attributes
    ----------
    hu : list of numpy.ndarray
        (y, x) HU of each slice, in order.
    geometry : Geometry or None
        Grid of the slices; None when they do not form a regular one.
    acquisition : Acquisition
        How the series was acquired.
    valid : numpy.ndarray or None
        Mask of the volume, see `Volume`.
    origin : Origin or None
        The series that was read; None for an array or a volume that was never a file.
    provenance : Provenance
        What was done, for the headers.
    """

    hu: list[HU]
    geometry: Geometry | None
    acquisition: Acquisition
    valid: Mask | None
    origin: Origin | None
    provenance: Provenance

    def volume(self) -> Volume:
        """Return the values as one volume. Raises GeometryMismatch when they are not on one regular grid."""
        if self.geometry is None:
            reasons = " ".join(self.origin.warnings) if self.origin else ""
            raise GeometryMismatch(
                f"the series is not one regular grid, so it is no volume; save it, or give out=. {reasons}"
            )
        return Volume(np.stack(self.hu), self.geometry, self.acquisition, self.valid, self.origin, self.provenance)

    def save(self, out: Path, files: Mapping[str, bytes]) -> Path:
        """Write the series, and the files that go with it; all of it or nothing. Raises OutputRefused."""
        origin = self.origin
        if origin is None or is_single_file(out) != origin.is_array:
            refuse_taken(out, files)
            write_volume(self.volume(), out, self.provenance.label, files)
            return out
        with (
            open_source(origin.path, origin.series, rescale=origin.rescale) as source,
            open_sink(source, out, self.provenance) as sink,
        ):
            if len(source) != len(self.hu):
                raise GeometryMismatch(f"{origin.path}: is no longer the series that was denoised; denoise it again")
            for index, hu in enumerate(self.hu):
                sink.write(source.read(index), hu)
            for name, data in files.items():
                sink.attach(name, data)
        return out


class MemorySink:
    """A sink that keeps the results of a source in memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._hu: list[HU] = []
        self._valid: list[Mask] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was written."""

    def write(self, original: Slice, hu: HU) -> None:
        """Take the result for the next slice."""
        self._hu.append(np.asarray(hu, np.float32))
        self._valid.append(original.valid)

    def attach(self, name: str, data: bytes) -> None:
        """Refuse: files go with a series when it is saved."""
        raise OutputRefused(f"{name}: goes with a series when it is saved")

    def series(self, given: Input, series: str | None, provenance: Provenance) -> SeriesInMemory:
        """Return what was written. ``given`` and ``series``: what the user asked for."""
        source = self._source
        if isinstance(source, VolumeSource):
            valid, origin = source.volume.valid, source.volume.origin
        else:
            valid = None if source.geometry is None else np.stack(self._valid)
            origin = origin_of(source, series, given)
        return SeriesInMemory(self._hu, source.geometry, source.acquisition, valid, origin, provenance)


def sink_for(source: Source, target: Path | None, provenance: Provenance) -> Sink | MemorySink:
    """Return the sink that writes to ``target`` slice by slice, or that keeps what is in memory already there.

    Raises OutputRefused, before any work, when ``target`` cannot be written.
    """
    if target is None or isinstance(source, VolumeSource):
        return MemorySink(source)
    return open_sink(source, target, provenance)
