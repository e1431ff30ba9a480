"""Any supported input as a Source, and the Sink that fits it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lowdose.errors import GeometryMismatch, NothingToRead, OutputRefused
from lowdose.io.archive import extract
from lowdose.io.derived import DicomSink
from lowdose.io.dicom import DicomSource
from lowdose.io.nifti import NiftiSink, NiftiSource
from lowdose.io.numpy_files import NumpySink, NumpySource
from lowdose.io.provenance import Provenance
from lowdose.io.source import Sink, Source
from lowdose.volume import Volume


@contextmanager
def open_source(path: Path, series: str | None = None) -> Iterator[Source]:
    """A series from a DICOM folder, file or zip, a .nii, .nii.gz, .npy or .npz; unpacked copies go with the block.

    Raises any of the input errors of ``lowdose.errors``.
    """
    if not path.exists():
        raise NothingToRead(f"{path}: no such file or folder")
    name = path.name.lower()
    with tempfile.TemporaryDirectory(prefix="lowdose-") as folder:
        scratch = Path(folder)
        if path.is_dir():
            yield DicomSource(path, series)
        elif name.endswith((".nii", ".nii.gz")):
            yield NiftiSource(path, scratch)
        elif name.endswith((".npy", ".npz")):
            yield NumpySource(path, scratch)
        elif name.endswith(".zip") or zipfile.is_zipfile(path):
            unpacked = scratch / path.name  # messages then name the archive
            unpacked.mkdir()
            extract(path, unpacked)
            yield DicomSource(unpacked, series)
        else:
            yield DicomSource(path, series)


def open_sink(source: Source, output: Path, provenance: Provenance) -> Sink:
    """Where the results for a source go: a new folder for DICOM, else a new file of the source's kind.

    Raises OutputRefused before any work when the place is taken or of the wrong kind.
    """
    if isinstance(source, DicomSource):
        if output.name.lower().endswith((".nii", ".nii.gz", ".npy", ".npz", ".zip", ".dcm")):
            raise OutputRefused(f"{output}: the result of DICOM is a DICOM folder; give the name of a new folder")
        return DicomSink(source, output, provenance)
    if isinstance(source, NiftiSource):
        return NiftiSink(source, output, provenance)
    if isinstance(source, NumpySource):
        return NumpySink(source, output)
    raise OutputRefused(f"{output}: no writer for a {type(source).__name__}")


def read_volume(source: Source) -> Volume:
    """All slices in memory, (z, y, x) HU. Raises GeometryMismatch when they do not form one grid."""
    if source.geometry is None:
        reasons = " ".join(source.warnings) or "Its positions or spacing are unknown."
        raise GeometryMismatch(f"the series is not one regular grid, so it cannot be taken as a volume. {reasons}")
    slices = [source.read(index) for index in range(len(source))]
    hu, valid = np.stack([part.hu for part in slices]), np.stack([part.valid for part in slices])
    return Volume(hu, source.geometry, source.acquisition, valid)
