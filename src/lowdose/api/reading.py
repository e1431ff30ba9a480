"""What the functions of the interface are given: files, volumes, arrays and models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.api.checks import check_rescale
from lowdose.api.messages import log_engine_message
from lowdose.device import choose_device
from lowdose.errors import GeometryMismatch, InvalidSetting, NothingToRead
from lowdose.infer.engines.base import EXACT
from lowdose.infer.engines.select_engine import AUTO, run_on_engine
from lowdose.io.open_series import open_source
from lowdose.io.source import Rescale, Source
from lowdose.models.checkpoint import DEFAULT_MODEL
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.volume import Volume
from lowdose.volume_source import VolumeSource, read_volume

Input = str | PathLike[str] | Volume | NDArray[Any] | Source
"""A file or folder, a volume, an array of HU (with its spacing), or a series that is open already."""

Spacing = tuple[float, ...]


def read(
    source: Input, *, series: str | None = None, spacing: Spacing | None = None, rescale: Rescale | None = None
) -> Volume:
    """Read a CT series into memory.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        A DICOM folder, file or zip, a .nii, .nii.gz, .npy or .npz file; or an array of HU, (z, y, x) or (y, x).
    series : str, optional
        SeriesInstanceUID, or its end, where a folder holds several series.
    spacing : tuple of float, optional
        (z, y, x) in mm; required for arrays, and for .npy and .npz files that are to be a volume.
    rescale : tuple of 2 floats, optional
        Slope and intercept in HU, for DICOM whose headers do not state them.

    Returns
    -------
    Volume
        HU as float32, with the grid, the acquisition, and where it was read from: ``save`` writes a DICOM series as
        a derived series of its source.

    Raises
    ------
    NothingToRead, NotCT, MixedSeries, CannotDecode
        When the input holds no series of CT images in HU, or several.
    GeometryMismatch
        When the slices do not form one regular grid: `denoise` takes such a series by its path. For an array without a
        spacing.
    InvalidSetting
        For a ``series`` that is not there, and for a ``spacing`` of what states its own.

    Examples
    --------
    >>> import numpy as np
    >>> import lowdose
    >>> water = lowdose.read(np.zeros((4, 64, 64)), spacing=(3.0, 0.7, 0.7))
    >>> water.hu.shape, water.geometry.spacing
    ((4, 64, 64), (3.0, 0.7, 0.7))
    """
    if isinstance(source, Volume) and series is None and spacing is None and rescale is None:
        return source
    with open_input(source, series, spacing, rescale) as opened:
        return opened.volume if isinstance(opened, VolumeSource) else read_volume(opened, series, source)


@contextmanager
def open_input(
    source: Input, series: str | None = None, spacing: Spacing | None = None, rescale: Rescale | None = None
) -> Iterator[Source]:
    """Open any input as a series that is read slice by slice. Raises as `read` does, but for irregular grids."""
    check_rescale(rescale)
    if isinstance(source, (str, PathLike)):
        _check_path(source, series, spacing)
        with open_source(Path(source), series, rescale) as opened:
            yield opened if spacing is None else _with_spacing(opened, spacing)
        return
    if series is not None:
        raise InvalidSetting(f"series '{series}': chooses among the series of a folder; leave it out for a volume")
    if rescale is not None:
        raise InvalidSetting(f"rescale {rescale}: is for DICOM files; leave it out for what is in HU already")
    if isinstance(source, Volume):
        if spacing is not None:
            raise InvalidSetting(f"spacing {spacing}: the volume states {source.geometry.spacing} mm; leave it out")
        yield VolumeSource(source)
    elif isinstance(source, Source):
        yield source
    else:
        yield VolumeSource(_volume_of(source, spacing))


def _check_path(path: str | PathLike[str], series: str | None, spacing: Spacing | None) -> None:
    if not str(path):
        raise NothingToRead("an empty path; give a folder or a file, '.' for the current folder")
    if series is not None and not isinstance(series, str):
        raise InvalidSetting(f"series {series!r}: must be a SeriesInstanceUID or its end, as text")
    if spacing is not None and Path(path).suffix.lower() not in (".npy", ".npz"):
        raise InvalidSetting(f"spacing {spacing}: is for arrays; {path} is a file, which states its own")


def _with_spacing(source: Source, spacing: Spacing) -> VolumeSource:
    """Return the slices of a file that states no spacing as a volume. Raises InvalidSetting when it states one."""
    if any(plane.pixel_mm for plane in source.planes):
        raise InvalidSetting(f"spacing {spacing}: is for arrays; {source.path} states its own")
    return VolumeSource(Volume.from_array(np.stack([source.read(index).hu for index in range(len(source))]), spacing))


def _volume_of(array: Any, spacing: Spacing | None) -> Volume:
    """Return an array, or nested lists of numbers, as a volume; raise InvalidSetting for anything else."""
    nested = isinstance(array, (list, tuple))
    if not nested and not hasattr(array, "__array__"):
        raise InvalidSetting(f"a {type(array).__name__} is no input; give a path, a Volume or an array of HU")
    if nested and any(isinstance(item, (str, PathLike)) for item in array):
        raise InvalidSetting(f"a list of {len(array)} paths is no input; give the folder that holds the files")
    if spacing is None:
        shape = f"of {len(array)} slices" if nested else f"of shape {array.shape}"
        raise GeometryMismatch(f"an array {shape} without a spacing: give spacing=(z, y, x) in mm")
    return Volume.from_array(array, spacing)


def load_model(
    model: str | PathLike[str] = DEFAULT_MODEL, *, device: str = "auto", engine: str = AUTO, accuracy: str = EXACT
) -> LoadedModel:
    """Load a denoiser and put it on the engine that runs it.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, of one that the user added or of a classical filter, or a .safetensors file.
    device : {"auto", "cpu", "cuda"}
        Where it runs.
    engine : {"auto", "winograd", "openvino", "onnxruntime", "torch"}
        What runs the network; "auto" is the fastest one here that is right, measured once for each model.
    accuracy : {"exact", "fast"}
        "exact": within 0.01 HU of float64. "fast": within 1 HU rms, checked on each series.

    Returns
    -------
    LoadedModel
        What `denoise` and `evaluate` take as ``model``: load it once for many series.

    Raises
    ------
    IncompatibleCheckpoint
        When there is no such model, or its file is damaged.
    InvalidSetting
        For an unknown device, engine or accuracy, and for an engine that is not installed.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.load_model("gaussian").name
    'gaussian'
    """
    return run_on_engine(load_by_name(str(model), choose_device(device)), engine, accuracy, log_engine_message)


def resolve_model(
    model: str | PathLike[str] | LoadedModel | None, device: str = "auto", engine: str = AUTO, accuracy: str = EXACT
) -> LoadedModel:
    """Return a loaded model as it is, and load any other."""
    if isinstance(model, LoadedModel):
        return model
    return load_model(DEFAULT_MODEL if model is None else model, device=device, engine=engine, accuracy=accuracy)
