"""Writer of a derived DICOM series: one new, valid object per source object, its header kept where it still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lowdose.errors import CannotDecode, LowDoseError, OutputRefused
from lowdose.image import HU, Slice
from lowdose.io.atomic import AtomicFolder, output_errors
from lowdose.io.dicom.derivation import Derivation, derive_header, derive_multiframe_header, renew_instance
from lowdose.io.dicom.fast_header import NeedsFullParser
from lowdose.io.dicom.frames import FrameStore
from lowdose.io.dicom.full_header import GROUPS, correct_representations, read_full_header
from lowdose.io.dicom.header_template import EncodedHeader, HeaderTemplate
from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.padding import beside_padding
from lowdose.io.dicom.pixel_attributes import refresh_extremes, state_format, state_scale, state_shared_scale
from lowdose.io.dicom.pixels import read_stored
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.dicom.rescale import StoredPixels, changed_pixels, nearest, unrounded
from lowdose.io.dicom.save import save
from lowdose.io.dicom.series import DicomSource, Origin
from lowdose.io.messages import reason, system_reason
from lowdose.io.provenance import Provenance

MAX_TEMPLATES = 8
"""Kinds of headers, within a series, of which one is kept to make others from."""


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
        self._templates: dict[object, HeaderTemplate] = {}

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
        values = image.pixels.values(stored)
        pixels = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).tobytes()
        try:
            source = EncodedHeader.read(image.path)
        except NeedsFullParser:
            self._write_whole(image, values, pixels)
            return
        scale = () if image.own_scale else (image.slope, image.intercept)
        kind = replace(image.pixels, offset=None), scale, source.kind
        template = self._templates.get(kind)
        encoded = None if template is None else template.fill(source, partial(self._renew, values=values))
        if encoded is not None:
            with self._next_path().open("xb") as file:
                file.writelines((encoded, pixels, bytes(len(pixels) % 2)))
            return
        path = self._write_whole(image, values, pixels)
        with suppress(NeedsFullParser):
            self._templates = dict([*self._templates.items()][1 - MAX_TEMPLATES :])
            self._templates[kind] = HeaderTemplate(source, EncodedHeader.read(path))

    def _write_whole(self, image: SliceHeader, values: StoredPixels, pixels: bytes) -> Path:
        header = self._derived_header(image)
        refresh_extremes(header, values)
        return self._save(header, pixels)

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

    def _save(self, header: Any, pixels: Any) -> Path:
        path = self._next_path()
        save(header, pixels, path)
        return path

    def _next_path(self) -> Path:
        self._derivation.objects += 1
        return self._folder.path / f"{self._derivation.objects:05d}.dcm"

    def _renew(self, header: Any, values: StoredPixels) -> bool:
        """Give part of a header what differs within the series; return whether it refers to the source."""
        correct_representations(header)
        refresh_extremes(header, values)
        return renew_instance(header, self._derivation)


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
    exact = unrounded(hu, image.slope, image.intercept)
    values = nearest(exact, *form.limits)
    if image.padding is not None:
        values = beside_padding(values, exact, image.padding, origin.stored.dtype, form.limits)
    return form.replace_values(origin.stored, changed, values)
