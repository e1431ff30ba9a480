"""A series in memory read slice by slice, as files are, and a series of files read into memory."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from lowdose.errors import GeometryMismatch
from lowdose.image import Geometry, Slice
from lowdose.io.arrays import ArraySource
from lowdose.io.arrays import planes as planes_of
from lowdose.io.dicom.padding import valid_mask
from lowdose.io.source import SliceFile, Source
from lowdose.volume import IN_MEMORY, Origin, Volume


class VolumeSource:
    """A volume read slice by slice, as files are. See `lowdose.io.source.Source`."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        origin, shape = volume.origin, (volume.hu.shape[1], volume.hu.shape[2])
        self.path = origin.path if origin else IN_MEMORY
        self.acquisition = volume.acquisition
        self.geometry: Geometry | None = volume.geometry
        self.planes = list(origin.planes) if origin else planes_of(volume.geometry, len(volume.hu), shape)
        self.warnings = list(origin.warnings) if origin else []
        self.skipped: list[str] = []
        self.uids: dict[str, object] = dict(origin.uids) if origin else {}
        self.patient_keys = origin.patient_keys if origin else frozenset[str]()

    def __len__(self) -> int:
        return len(self.volume.hu)

    @property
    def files(self) -> list[SliceFile]:
        """What the slices were read from, with their SOPInstanceUIDs where each has its own."""
        instances = self.uids.get("instances")
        own = isinstance(instances, list) and len(instances) == len(self)
        uids = [str(uid) for uid in instances] if isinstance(instances, list) and own else [""] * len(self)
        return [SliceFile(self.path, index, uid) for index, uid in enumerate(uids)]

    def read(self, index: int) -> Slice:
        """Return one slice."""
        hu, plane = self.volume.hu[index], self.planes[index]
        valid = valid_mask(hu, None, False) if self.volume.valid is None else self.volume.valid[index]
        return Slice(hu, valid, plane.position, plane.pixel_mm)


def read_volume(source: Source, series: str | None = None, given: object = None) -> Volume:
    """Read all slices into memory.

    series, given: see ``origin_of``, so that the volume can be saved as a derived series. Raises GeometryMismatch when
    the slices do not form one regular grid.
    """
    if source.geometry is None:
        reasons = " ".join(source.warnings) or "Its positions or spacing are unknown."
        raise GeometryMismatch(f"the series is not one regular grid, so it cannot be taken as a volume. {reasons}")
    slices = [source.read(index) for index in range(len(source))]
    hu, valid = np.stack([part.hu for part in slices]), np.stack([part.valid for part in slices])
    return Volume(hu, source.geometry, source.acquisition, valid, origin_of(source, series, given))


def origin_of(source: Source, series: str | None, given: object) -> Origin:
    """Return where the slices of an open series come from.

    series: as it was chosen. given: what the user named; a path is kept, since that of ``source`` may be an unpacked
    copy that is removed when it is closed.
    """
    path = Path(given) if isinstance(given, (str, PathLike)) else source.path
    keys = frozenset[str](getattr(source, "patient_keys", ()))
    stated = tuple(source.planes), dict(source.uids), tuple(source.warnings), keys
    return Origin(
        path.absolute(), series, *stated, is_array=isinstance(source, ArraySource),
        rescale=getattr(source, "rescale", None),
    )  # fmt: skip
