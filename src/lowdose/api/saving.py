"""Results of a series kept in memory, and written later as they would have been at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from lowdose.api.reading import Input
from lowdose.errors import GeometryMismatch, OutputRefused
from lowdose.image import HU, Mask, Slice
from lowdose.io.atomic import AtomicFiles, output_errors
from lowdose.io.open_series import open_sink, open_source
from lowdose.io.provenance import Provenance
from lowdose.io.source import Source
from lowdose.io.write_volume import refuse_other_endings
from lowdose.volume import Volume, is_single_file
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
    path : Path or None
        Where the series was read from; None for an array or a volume that was never a file.
    series : str or None
        SeriesInstanceUID that was asked for.
    template : Volume or None
        Grid, acquisition and mask of the result; None when the slices do not form one regular grid.
    irregular : str
        Why they do not.
    provenance : Provenance
        What was done, for the headers.
    """

    hu: list[HU]
    path: Path | None
    series: str | None
    template: Volume | None
    irregular: str
    provenance: Provenance

    def volume(self) -> Volume:
        """Return the values as one volume. Raises GeometryMismatch when they are not on one regular grid."""
        if self.template is None:
            raise GeometryMismatch(
                f"the series is not one regular grid, so it is no volume; save it, or give out=. {self.irregular}"
            )
        return replace(self.template, hu=np.stack(self.hu), provenance=self.provenance)

    def save(self, out: Path, files: Mapping[str, bytes]) -> Path:
        """Write the series, and the files that go with it; all of it or nothing. Raises OutputRefused."""
        if self.path is not None and is_single_file(out) == is_single_file(self.path):
            with open_source(self.path, self.series) as source, open_sink(source, out, self.provenance) as sink:
                if len(source) != len(self.hu):
                    raise GeometryMismatch(f"{self.path}: is no longer the series that was denoised; denoise it again")
                for index, hu in enumerate(self.hu):
                    sink.write(source.read(index), hu)
                for name, data in files.items():
                    sink.attach(name, data)
            return out
        refuse_taken(out, files)
        self.volume().save(out, self.provenance)
        _write_beside(out, files)
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
        source, reason = self._source, " ".join(self._source.warnings)
        if isinstance(source, VolumeSource):
            origin = source.volume.origin
            path, chosen = (origin.path, origin.series) if origin else (None, None)
            return SeriesInMemory(self._hu, path, chosen, source.volume, reason, provenance)
        path = Path(given) if isinstance(given, (str, PathLike)) else None
        return SeriesInMemory(self._hu, path, series, self._template(series), reason, provenance)

    def _template(self, series: str | None) -> Volume | None:
        source = self._source
        if source.geometry is None:
            return None
        valid = np.stack(self._valid)
        return Volume(np.stack(self._hu), source.geometry, source.acquisition, valid, origin_of(source, series))


def refuse_taken(out: Path, files: Iterable[str] = ()) -> None:
    """Raise OutputRefused when ``out``, or a file of these names that goes with it, exists or cannot be written."""
    refuse_other_endings(out)
    if out.is_dir() and any(out.iterdir()):
        raise OutputRefused(f"{out}: exists and is not empty; choose another folder or remove it")
    beside = [] if out.is_dir() else [path for path in (out, *_beside(out, files)) if path.exists()]
    if beside:
        raise OutputRefused(f"{beside[0]}: exists; choose another name or remove it")


def _beside(out: Path, names: Iterable[str]) -> list[Path]:
    """Return where files go with ``out``: into a folder of DICOM, or beside a single file under its name."""
    if not is_single_file(out):
        return [out / name for name in names]
    stem = out.name.removesuffix(".gz").rpartition(".")[0]
    return [out.with_name(f"{stem}.{'json' if name == 'manifest.json' else name}") for name in names]


def _write_beside(out: Path, files: Mapping[str, bytes]) -> None:
    """Write the files that go with a series, all of them or none."""
    pairs = dict(zip(_beside(out, files), files.values(), strict=True))
    collected = AtomicFiles(out)
    try:
        for path, data in pairs.items():
            hidden = collected.add(path)
            with output_errors(path):
                hidden.write_bytes(data)
        collected.commit()
    finally:
        collected.discard()
