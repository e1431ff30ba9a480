"""A whole CT series in memory: made from an array or read from a file, and saved again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowdose.data_url import data_url
from lowdose.errors import GeometryMismatch, NotCT
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Acquisition, Geometry, Mask, Vector
from lowdose.io.arrays import is_single_file
from lowdose.io.messages import counted
from lowdose.io.open_series import open_sink, open_source
from lowdose.io.provenance import SOFTWARE, Provenance
from lowdose.io.source import Plane, Rescale, Source
from lowdose.io.write_volume import write_volume
from lowdose.version import __version__

IN_MEMORY = Path("array in memory")
"""Stands for the path of a volume that was never a file."""

REPLACE_NAN = "replace them by the HU of air, -1000, first"


@dataclass(frozen=True)
class Origin:
    """The series a volume was read from: what a derived series is written from.

    Attributes
    ----------
    path : Path
        File or folder that was read.
    series : str or None
        SeriesInstanceUID, or its end, that was asked for.
    planes : tuple of Plane
        Where each slice lies.
    uids : mapping
        SeriesInstanceUID and SOPInstanceUIDs; empty for formats without them.
    warnings : tuple of str
        What is odd about the series.
    patient_keys : frozenset of str
        Hashes by which series of one patient are recognised.
    is_array : bool
        Whether it is an array file (NIfTI, NumPy and the like), and no DICOM series.
    rescale : tuple of 2 floats or None
        Slope and intercept that the user stated, because the headers do not.
    """

    path: Path
    series: str | None
    planes: tuple[Plane, ...]
    uids: Mapping[str, object]
    warnings: tuple[str, ...]
    patient_keys: frozenset[str]
    is_array: bool = False
    rescale: Rescale | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT series in memory.

    Parameters
    ----------
    hu : numpy.ndarray
        (z, y, x) float32, HU.
    geometry : Geometry
        Spacing, origin and direction of the grid, mm.
    acquisition : Acquisition, optional
        Kernel, slice thickness, voltage and manufacturer, where they are known.
    valid : numpy.ndarray, optional
        (z, y, x) bool, False where the scanner stored padding; None = not known.
    origin : Origin, optional
        The series it was read from; set by `lowdose.read`.
    provenance : Provenance, optional
        What made the values, when they are the result of lowdose; headers that `save` writes say it.

    Raises
    ------
    GeometryMismatch
        For another number of axes, another type, a mask of another shape, or a geometry of another type.
    NotCT
        For NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose import Volume
    >>> volume = Volume.from_array(np.full((2, 64, 64), 40.0), spacing=(3.0, 0.7, 0.7))
    >>> volume.hu.dtype, volume.geometry.spacing
    (dtype('float32'), (3.0, 0.7, 0.7))
    """

    hu: HU
    geometry: Geometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    valid: Mask | None = None
    origin: Origin | None = None
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        hu, way_out = self.hu, "Volume.from_array(hu, spacing=(z, y, x)) takes any array"
        if not isinstance(hu, np.ndarray):
            raise GeometryMismatch(f"a volume is an array, not a {type(hu).__name__}; {way_out}")
        if hu.ndim != 3 or hu.size == 0 or hu.dtype != np.float32:
            raise GeometryMismatch(f"a volume is (z, y, x) float32, not {hu.shape} {hu.dtype}; {way_out}")
        if not isinstance(self.geometry, Geometry):
            raise GeometryMismatch(f"geometry {self.geometry}: must be a lowdose.image.Geometry; {way_out}")
        if self.valid is not None and (self.valid.shape != hu.shape or self.valid.dtype != np.bool_):
            raise GeometryMismatch(f"the mask {self.valid.shape} {self.valid.dtype} must be {hu.shape} bool")
        if not np.isfinite(hu).all():
            raise NotCT(f"{np.count_nonzero(~np.isfinite(hu))} voxels are NaN or infinity; {REPLACE_NAN}")

    @classmethod
    def from_array(cls, hu: ArrayLike, spacing: tuple[float, ...]) -> Volume:
        """Make a volume from any array of HU.

        Parameters
        ----------
        hu : array_like
            (z, y, x), or (y, x) for a single slice; HU, any real type.
        spacing : tuple of float
            (z, y, x) in mm: distance of slices, height and width of a pixel; (y, x) is enough for a single slice.

        Returns
        -------
        Volume
            A float32 copy.

        Raises
        ------
        GeometryMismatch
            For an array that is neither 2-D nor 3-D, and for a spacing that does not fit it.
        NotCT
            For values that are no real numbers, NaN or infinity.
        """
        array = _as_array(hu)
        if array.ndim not in (2, 3) or array.size == 0:
            raise GeometryMismatch(f"an array of shape {array.shape}: give (z, y, x), or (y, x) for one slice")
        if array.dtype.kind not in "iuf":
            raise NotCT(f"an array of {array.dtype}: HU are real numbers; convert it to float32")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused
            image = array.astype(np.float32).reshape(-1, *array.shape[-2:])
        return cls(image, Geometry(_three_steps(spacing, array.ndim)))

    @property
    def spacing(self) -> Vector:
        """Distance of slices, height and width of a pixel, (z, y, x) in mm."""
        return self.geometry.spacing

    def __repr__(self) -> str:
        """Name the size and the spacing; the values would fill the screen."""
        count, rows, columns = self.hu.shape
        steps = " x ".join(f"{step:g}" for step in self.geometry.spacing)
        return f"Volume({counted(count, 'slice')} of {rows} x {columns} pixels, {steps} mm (z, y, x))"

    def with_hu(self, hu: ArrayLike) -> Volume:
        """Return the same place and acquisition with other values of the same shape, converted to float32.

        Raises GeometryMismatch for another shape, and NotCT for NaN or infinity.
        """
        values = _as_array(hu)
        if values.shape != self.hu.shape:
            raise GeometryMismatch(f"values of shape {values.shape} do not fit a volume of shape {self.hu.shape}")
        return replace(self, hu=values.astype(np.float32), provenance=None)

    def save(self, path: str | PathLike[str], provenance: Provenance | None = None) -> Path:
        """Write the volume to a new file or folder.

        A volume that `lowdose.read` read is written as what it was read from: a DICOM series as a derived series with
        the headers of its source, a NIfTI or NumPy file with the type and scale of its source; every pixel whose HU
        are unchanged keeps its stored value. Everything else becomes a new file: .nii, .nii.gz, .npy, .npz by the
        name, or a new folder of DICOM images.

        Parameters
        ----------
        path : str or Path
            Must not exist.
        provenance : Provenance, optional
            What was done to the volume, for the headers; left out, what made the volume, or that it was edited.

        Returns
        -------
        Path
            What was written.

        Raises
        ------
        OutputRefused
            When the path is taken or cannot be written.
        """
        target, made = Path(path), provenance or self.provenance or edited()
        if self.origin is None or is_single_file(target) != self.origin.is_array:
            write_volume(self, target, made.label)
            return target
        origin = self.origin
        with (
            open_source(origin.path, origin.series, rescale=origin.rescale) as source,
            open_sink(source, target, made) as sink,
        ):
            check_same_series(source, self)
            for index, hu in enumerate(self.hu):
                sink.write(source.read(index), hu)
        return target

    def to_dict(self) -> dict[str, Any]:
        """Return shape, grid, acquisition and range of values as plain Python."""
        made = self.acquisition
        return {
            "shape": list(self.hu.shape),
            "spacing_mm": list(self.geometry.spacing),
            "origin_mm": list(self.geometry.origin),
            "direction": [list(axis) for axis in self.geometry.direction],
            "kernel": made.kernel,
            "thickness_mm": made.thickness_mm,
            "kvp": made.kvp,
            "manufacturer": made.manufacturer,
            "lowest_hu": float(self.hu.min()),
            "highest_hu": float(self.hu.max()),
        }

    def _repr_html_(self) -> str:
        """Show the middle slice in the soft-tissue window, for notebooks."""
        picture = data_url(_png(self.hu[len(self.hu) // 2]))
        return (
            f'<figure><img src="{picture}" style="max-height:320px" alt="middle slice">'
            f"<figcaption>{self!r}; middle slice, {SOFT_TISSUE}</figcaption></figure>"
        )


def check_same_series(source: Source, volume: Volume) -> None:
    """Raise GeometryMismatch when a series on disk is no longer the one that ``volume`` was read from."""
    same = len(source) == len(volume.hu) and all(plane.shape == volume.hu.shape[1:] for plane in source.planes)
    if not same or (volume.origin and source.uids != volume.origin.uids):
        raise GeometryMismatch(f"{source.path}: is no longer the series that was read; read it again")


def edited() -> Provenance:
    """Return what a header says of values that a program changed by means of its own."""
    return Provenance(SOFTWARE, __version__, "edited", "pixel values edited by a program that uses lowdose.")


def _as_array(given: ArrayLike) -> NDArray[Any]:
    """Return any array-like as an array. Raises NotCT when it is none, and for a mask that would be lost."""
    if isinstance(given, np.ma.MaskedArray):
        raise NotCT("a masked array: its mask would be lost; give .filled(-1000)")
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise NotCT(f"a {type(given).__name__} that is no array of numbers ({error})") from error


def _three_steps(spacing: object, ndim: int) -> Vector:
    """Return a spacing as three numbers; two are enough for one slice. Raises GeometryMismatch."""
    try:
        steps = np.asarray(spacing, dtype=np.float64)
    except (ValueError, TypeError):
        steps = np.empty(0)
    if steps.shape == (2,) and ndim == 2:
        steps = np.array([1.0, *steps])
    if steps.shape != (3,):
        raise GeometryMismatch(f"spacing {spacing!r}: give three numbers (z, y, x) in mm")
    return float(steps[0]), float(steps[1]), float(steps[2])


def _png(hu: HU) -> bytes:
    from PIL import Image  # scikit-image brings it; only notebooks need it here

    stream = io.BytesIO()
    Image.fromarray(np.rint(255 * SOFT_TISSUE.apply(hu)).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()
