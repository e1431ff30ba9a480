"""Opening of any supported input as a Source, and of the Sink that fits it.

The module of a format is imported when a file of it is opened, so that a program that reads packs or arrays only needs
neither pydicom nor nibabel.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowdose.errors import CannotDecode, InvalidSetting, LowDoseError, NothingToRead, OutputRefused
from lowdose.io.arrays import is_single_file
from lowdose.io.messages import printable, reason
from lowdose.io.provenance import Provenance
from lowdose.io.source import Rescale, Sink, Source
from lowdose.io.write_volume import refuse_other_endings
from lowdose.io.zip_files import extract_zip


@contextmanager
def open_source(path: Path, series: str | None = None, rescale: Rescale | None = None) -> Iterator[Source]:
    """Yield a series from a DICOM folder, file or zip, a .nii, .nii.gz, .npy or .npz.

    ``series`` chooses one of several DICOM series by SeriesInstanceUID; ``rescale`` is for DICOM images that do not
    state their slope and intercept. Unpacked copies are removed when the block ends. Raises any of the input errors of
    ``lowdose.errors``.
    """
    with tempfile.TemporaryDirectory(prefix="lowdose-") as folder:
        unpacked = Path(folder) / path.name

        def with_user_path(text: str) -> str:
            return printable(text.replace(str(unpacked), str(path)))

        try:
            source = _open(path, series, unpacked, rescale)
            source.skipped = [with_user_path(line) for line in source.skipped]
            yield source
        except LowDoseError as error:
            if with_user_path(str(error)) == str(error):
                raise
            raise type(error)(with_user_path(str(error))) from error


def _open(path: Path, series: str | None, unpacked: Path, rescale: Rescale | None) -> Source:
    """Open the series; ``unpacked`` is the path, in an existing folder, to unpack compressed input to."""
    try:
        path.stat()
    except FileNotFoundError as error:
        raise NothingToRead(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise CannotDecode(f"{path}: cannot be opened ({reason(error)})") from error
    name = path.name.lower()
    if not path.is_dir() and is_single_file(path):
        if series is not None:
            raise InvalidSetting(f"series '{series}': {path} is no DICOM and holds one series; leave --series out")
        if rescale is not None:
            raise InvalidSetting(f"--rescale {rescale[0]:g},{rescale[1]:g}: is for DICOM; {path} is none; leave it out")
        return _open_array(path, unpacked.parent)
    from lowdose.io.dicom.series import DicomSource

    if not path.is_dir() and (name.endswith(".zip") or zipfile.is_zipfile(path)):
        unpacked.mkdir()
        extract_zip(path, unpacked)
        return DicomSource(unpacked, series, rescale)
    return DicomSource(path, series, rescale)


def _open_array(path: Path, scratch: Path) -> Source:
    if ".nii" in path.name.lower()[-7:]:
        from lowdose.io.nifti import NiftiSource

        return NiftiSource(path, scratch)
    from lowdose.io.numpy_files import NumpySource

    return NumpySource(path, scratch)


def open_sink(source: Source, output: Path, provenance: Provenance) -> Sink:
    """Return the writer for the results of a source: a new folder for DICOM, else a new file of the source's kind.

    Raises OutputRefused, before any work, when the output exists or has an ending of another kind.
    """
    from lowdose.io.dicom.derived import DicomSink
    from lowdose.io.dicom.series import DicomSource
    from lowdose.io.nifti import NiftiSink, NiftiSource
    from lowdose.io.numpy_files import NumpySink, NumpySource

    refuse_other_endings(output)
    if isinstance(source, DicomSource):
        if is_single_file(output):
            raise OutputRefused(f"{output}: a DICOM folder is written for DICOM input; give the name of a new folder")
        return DicomSink(source, output, provenance)
    if isinstance(source, NiftiSource):
        return NiftiSink(source, output, provenance)
    if isinstance(source, NumpySource):
        return NumpySink(source, output)
    raise OutputRefused(f"{output}: no writer for a {type(source).__name__}")
