"""Opening of any supported input as a Source, and of the Sink that fits it.

The module of a format is imported when a file of it is opened, so that a program that reads packs or arrays only needs
neither pydicom nor nibabel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lowdose.errors import CannotDecode, InvalidSetting, LowDoseError, NothingToRead, OutputRefused
from lowdose.io.arrays import ArraySource, is_single_file
from lowdose.io.atomic import refuse_inside
from lowdose.io.folder_tree import walk_folders
from lowdose.io.input_kind import (
    ARCHIVES,
    ARRAYS,
    Kind,
    check_input,
    is_compressed_slice,
    is_gzip,
    is_series_file,
    kind_of,
    named_kind,
    without_gz,
)
from lowdose.io.messages import printable
from lowdose.io.provenance import Provenance
from lowdose.io.source import Rescale, Sink, Source
from lowdose.io.stated_sizes import UNSTATED, Sizes, state_sizes
from lowdose.io.tar_files import extract_gzip, extract_slices, extract_tar
from lowdose.io.write_volume import refuse_other_endings, refuse_taken
from lowdose.io.zip_files import extract_zip

CONVERTED = "converted.nii"
"""Name of the file in the scratch folder that another format is converted to."""
SHOWN = 3
"""Number of files that an error message names."""


@contextmanager
def open_source(
    path: Path, series: str | None = None, sizes: Sizes = UNSTATED, rescale: Rescale | None = None
) -> Iterator[Source]:
    """Yield a series from a DICOM folder, file, zip or tar, or from a NIfTI, Analyze, NRRD, MetaImage or NumPy file.

    What a file is, its content decides. ``series`` chooses one of several DICOM series by SeriesInstanceUID; ``sizes``
    are those of a series that states none; ``rescale`` is for DICOM images that do not state their slope and intercept.
    Unpacked copies are removed when the block ends. Raises any of the input errors of ``lowdose.errors``.
    """
    check_input(path)
    with tempfile.TemporaryDirectory(prefix="lowdose-") as folder:
        unpacked = Path(folder) / (without_gz(path.resolve()).name or "input")

        def with_user_path(text: str) -> str:
            for copy in (unpacked, Path(folder) / CONVERTED):
                text = text.replace(str(copy), str(path))
            return printable(text)

        try:
            source = _open(path, series, unpacked, rescale)
            source.skipped = [with_user_path(line) for line in source.skipped]
            state_sizes(source, sizes)
            yield source
        except LowDoseError as error:
            if with_user_path(str(error)) == str(error):
                raise
            raise type(error)(with_user_path(str(error))) from error


def _open(path: Path, series: str | None, unpacked: Path, rescale: Rescale | None) -> Source:
    """Open the series; ``unpacked`` is the path, in an existing folder, to unpack compressed input to."""
    kind = kind_of(path)
    if kind in ARRAYS:
        if series is not None:
            raise InvalidSetting(f"series '{series}': {path} is no DICOM and holds one series; leave --series out")
        if rescale is not None:
            raise InvalidSetting(f"--rescale {rescale[0]:g},{rescale[1]:g}: is for DICOM; {path} is none; leave it out")
        return _open_array(path, kind, unpacked.parent)
    if kind is Kind.GZIP:
        return _open_gzip(path, series, unpacked, rescale)
    if kind in ARCHIVES:
        unpacked.mkdir()
        extract(path, kind, unpacked)
        return _open_folder(unpacked, series, unpacked.parent / "slices", rescale)
    if kind is Kind.FOLDER:
        return _open_folder(path, series, unpacked, rescale)
    from lowdose.io.dicom.series import DicomSource

    return DicomSource(path, series, rescale)


def _open_gzip(path: Path, series: str | None, unpacked: Path, rescale: Rescale | None) -> Source:
    extract_gzip(path, unpacked)
    check_input(unpacked)
    if is_gzip(unpacked) or kind_of(unpacked) in ARCHIVES:
        raise CannotDecode(f"{path}: compressed twice; decompress it once (gzip -d) and give the result")
    return _open(unpacked, series, unpacked.parent / "twice", rescale)


def _open_folder(folder: Path, series: str | None, unpacked: Path, rescale: Rescale | None) -> Source:
    """Open the DICOM series of a folder, whose compressed slices are unpacked first, or its only other series."""
    from lowdose.io.dicom.series import DicomSource

    files = [file for _, _, found in walk_folders(folder) for file in found]
    packed = [file for file in files if is_compressed_slice(file)]
    if packed:
        extract_slices(packed, files, folder, unpacked)
        folder = unpacked
    try:
        return DicomSource(folder, series, rescale)
    except NothingToRead:
        others = [file for file in files if is_series_file(file)]
        if not others:
            raise
        if len(others) == 1 and named_kind(others[0]) in ARRAYS and series is None:
            check_input(others[0])
            return _open(others[0], None, unpacked.parent / "single", rescale)
        shown = ", ".join(file.name for file in others[:SHOWN]) + (" ..." if len(others) > SHOWN else "")
        raise NothingToRead(
            f"{folder}: holds no DICOM but {len(others)} file(s) that are a series each ({shown}); give one of them"
        ) from None


def extract(path: Path, kind: Kind, folder: Path) -> None:
    """Unpack an archive, of one of the kinds ARCHIVES, into an empty folder. Raises UnsafeZip or CannotDecode."""
    (extract_zip if kind is Kind.ZIP else extract_tar)(path, folder)


def _open_array(path: Path, kind: Kind, scratch: Path) -> Source:
    if kind in (Kind.NPY, Kind.NPZ):
        from lowdose.io.numpy_files import NumpySource

        return NumpySource(path, scratch)
    from lowdose.io.nifti import NiftiSource

    if kind is Kind.NIFTI:
        return NiftiSource(path, scratch)
    from lowdose.io.converted_nifti import convert_itk, convert_pair

    converted, warnings = scratch / CONVERTED, list[str]()
    if kind is Kind.ITK:
        convert_itk(path, converted)
    else:
        warnings = convert_pair(path, converted)
    source = NiftiSource(path, scratch, converted)
    source.warnings += warnings
    return source


def check_output(source: Source, output: Path, companions: Iterable[str] = ()) -> None:
    """Raise OutputRefused when the results of a source, and the files that go with them, cannot be written.

    The output exists, has an ending of another kind, lies inside the input or in a folder that cannot be written.
    """
    from lowdose.io.dicom.series import DicomSource

    refuse_other_endings(output)
    if isinstance(source, DicomSource):
        if is_single_file(output):
            raise OutputRefused(f"{output}: a DICOM folder is written for DICOM input; give the name of a new folder")
        refuse_inside(output, source.path)
    elif isinstance(source, ArraySource):
        source.refuse_other_name(output)
    refuse_taken(output, companions)


def open_sink(source: Source, output: Path, provenance: Provenance) -> Sink:
    """Return the writer for the results of a source: a new folder for DICOM, else a new file of the source's kind.

    Raises what ``check_output`` raises, before any work.
    """
    from lowdose.io.dicom.derived import DicomSink
    from lowdose.io.dicom.series import DicomSource

    check_output(source, output)
    if isinstance(source, DicomSource):
        return DicomSink(source, output, provenance)
    from lowdose.io.nifti import NiftiSink, NiftiSource
    from lowdose.io.numpy_files import NumpySink, NumpySource

    if isinstance(source, NiftiSource):
        return NiftiSink(source, output, provenance)
    if isinstance(source, NumpySource):
        return NumpySink(source, output)
    raise OutputRefused(f"{output}: no writer for a {type(source).__name__}")
