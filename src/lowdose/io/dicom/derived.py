"""Writer of a derived DICOM series: one new, valid object per source object, its header kept where it still holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import STANDARD_VR, format_number_as_ds

from lowdose.errors import CannotDecode, LowDoseError, OutputRefused
from lowdose.image import HU, Slice
from lowdose.io.atomic import AtomicFolder, output_errors
from lowdose.io.dicom.derivation import Derivation, derive_header, derive_multiframe_header, put
from lowdose.io.dicom.frames import FrameStore
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.open_file import read_data
from lowdose.io.dicom.padding import beside_padding
from lowdose.io.dicom.pixels import PixelFormat, read_stored
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.rescale import StoredPixels, changed_pixels, to_stored
from lowdose.io.dicom.save import save
from lowdose.io.dicom.series import DicomSource, Origin
from lowdose.io.dicom.values import tags
from lowdose.io.messages import reason, system_reason
from lowdose.io.provenance import Provenance

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
"""Where enhanced objects state what holds for their frames."""
GROUP_TAGS = [int(tag) for tag in tags(GROUPS)]


class DicomSink:
    """Writer of the slices of a DicomSource as a new series of the same study, in a new folder.

    A pixel whose HU did not change, or in which nothing was reconstructed, keeps its stored value bit for bit. Raises
    OutputRefused: before any work when the output exists, later when the disk is full or slices are missing.
    """

    def __init__(self, source: DicomSource, output: Path, provenance: Provenance) -> None:
        self._source = source
        self._folder = AtomicFolder(output, source.path)
        self._derivation = Derivation(provenance, datetime.now(), str(source.uids["study"]), source.frame_of_reference)
        self._written = 0
        self._frame_stores: dict[Path, FrameStore] = {}

    def __enter__(self) -> Self:
        self._folder.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._folder.discard()

    def _finish(self) -> None:
        if self._written != len(self._source):
            raise OutputRefused(
                f"{self._folder.output}: {self._written} of {len(self._source)} slices were written; nothing is kept"
            )
        self._folder.commit()

    def write(self, original: Slice, hu: HU) -> None:
        """Write the result for one slice, (y, x) in HU."""
        origin = original.origin
        if not isinstance(origin, Origin):
            raise OutputRefused(f"{self._folder.output}: a slice that was not read from DICOM cannot become DICOM")
        stored = restore_stored(origin, original, hu)
        with output_errors(self._folder.output), header_errors(origin.image.path), suppress_pydicom_warnings():
            if origin.image.pixels.frames == 1:
                self._write_single(origin.image, stored)
            else:
                self._collect_frame(origin.image, stored)
        self._written += 1

    def _write_single(self, image: SliceHeader, stored: StoredPixels) -> None:
        header = self._derived_header(image)
        refresh_extremes(header, image.pixels.values(stored))
        self._save(header, stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes())

    def _derived_header(self, image: SliceHeader) -> Any:
        header = read_full_header(image.path)
        in_groups = any(keyword in header for keyword in GROUPS)
        (derive_multiframe_header if in_groups else derive_header)(header, self._derivation)
        state_format(header, image.pixels)
        if not in_groups:
            state_scale(header, image)
        elif not image.own_scale:
            state_shared_scale(header, image)
        return header

    def attach(self, name: str, data: bytes) -> None:
        """Write one more file into the output folder."""
        with output_errors(self._folder.output):
            (self._folder.path / name).write_bytes(data)

    def _collect_frame(self, image: SliceHeader, stored: StoredPixels) -> None:
        """Keep one frame on disk; with the last one, write the object."""
        if image.path not in self._frame_stores:
            self._frame_stores[image.path] = self._new_frame_store(image)
        frames = self._frame_stores[image.path]
        frames.put(image.frame, stored)
        if frames.complete:
            header = self._derived_header(image)
            with frames.reader() as file:
                self._save(header, file)
            frames.close()
            del self._frame_stores[image.path]

    def _new_frame_store(self, image: SliceHeader) -> FrameStore:
        """Return the store for the frames of a file, which holds those already that were set aside unchanged."""
        frames = FrameStore(self._folder.path, image)
        expected = {other.frame for other in self._source.images if other.path == image.path}
        for frame in set(range(image.pixels.frames)) - expected:
            frames.put(frame, read_stored(image.path, frame, image.pixels))
        return frames

    def _save(self, header: Any, pixels: Any) -> None:
        self._derivation.objects += 1
        save(header, pixels, self._folder.path / f"{self._derivation.objects:05d}.dcm")


@contextmanager
def header_errors(path: Path) -> Iterator[None]:
    """Turn what pydicom raises on a header that it read but cannot write into CannotDecode naming the source file."""
    try:
        yield
    except LowDoseError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and system_reason(error):  # an error of the disk, not of the header
            raise
        raise CannotDecode(f"{path}: its header is damaged and cannot be written again ({reason(error)})") from error


def restore_stored(origin: Origin, original: Slice, hu: HU) -> StoredPixels:
    """Convert a result in HU to stored values of the source's type, clipped to what its pixels can hold."""
    image, form = origin.image, origin.image.pixels
    changed = changed_pixels(hu, original.hu, original.valid)
    changed_values = to_stored(hu[changed], image.slope, image.intercept, *form.limits)
    if image.padding is not None:
        exact = (hu[changed].astype(np.float64) - image.intercept) / image.slope
        changed_values = beside_padding(changed_values, exact, image.padding, origin.stored.dtype, form.limits)
    return form.replace_values(origin.stored, changed, changed_values)


def state_format(header: Any, form: PixelFormat) -> None:
    """State the format by which the pixels were read, where the header does not, or in another representation."""
    for keyword, value in {
        "Rows": form.rows,
        "Columns": form.columns,
        "BitsAllocated": form.allocated,
        "BitsStored": form.bits,
        "HighBit": form.high_bit,
        "PixelRepresentation": int(form.signed),
    }.items():
        element = header.get_item(keyword)
        if element is None or element.VR not in (None, "US") or element.value in (None, b""):
            put(header, keyword, value)


def state_scale(header: Any, image: SliceHeader) -> None:
    """State the scale by which the pixels were read, where the header does not, or in more than one value."""
    if not image.own_scale:
        put(header, "RescaleType", "HU")
    for keyword, value in (("RescaleSlope", image.slope), ("RescaleIntercept", image.intercept)):
        if not image.own_scale or isinstance(header.get(keyword), MultiValue):
            put(header, keyword, format_number_as_ds(float(value)))


def state_shared_scale(header: Any, image: SliceHeader) -> None:
    """State the scale by which the pixels were read for all frames, in place of what the frames state."""
    for group in header.get("PerFrameFunctionalGroupsSequence") or []:
        if "PixelValueTransformationSequence" in group:
            del group.PixelValueTransformationSequence
    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = image.slope, image.intercept, "HU"
    header.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = Sequence([item])


def refresh_extremes(header: Any, values: StoredPixels) -> None:
    """Update the smallest and largest pixel value where the header states them."""
    for keyword, value in (("SmallestImagePixelValue", values.min()), ("LargestImagePixelValue", values.max())):
        if keyword in header:
            element = header[keyword]
            element.VR = "SS" if values.dtype.kind == "i" else "US"
            element.value = int(np.clip(value, -32768, 65535))


def read_full_header(path: Path) -> Any:
    """Read a source's whole header without its pixels; raise CannotDecode when the file is gone."""
    try:
        with path.open("rb") as file:
            header = read_data(path, file)[0]
    except OSError as error:
        raise CannotDecode(f"{path}: cannot be read a second time ({reason(error)})") from error
    correct_representations(header)
    return header


def correct_representations(header: Any, within: Collection[int] | None = GROUP_TAGS) -> None:
    """Give elements with a value representation that DICOM does not know that of their tag, or UN (unknown).

    ``within``: sequences whose items are corrected too, None for all of them.
    """
    for tag in list(header.keys()):
        element = header.get_item(tag)
        if element.VR == "SQ" and (within is None or tag in within):
            for item in header[tag].value:
                correct_representations(item, None)
        if isinstance(element, RawDataElement) and element.VR is not None and element.VR not in STANDARD_VR:
            known = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
            header[tag] = element._replace(VR=known if known in STANDARD_VR else "UN")
