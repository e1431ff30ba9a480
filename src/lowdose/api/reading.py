"""What the functions of the interface are given: files, volumes, arrays and models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.api.messages import log_engine_message
from lowdose.device import choose_device
from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.infer.engines.base import EXACT
from lowdose.infer.engines.select_engine import AUTO, run_on_engine
from lowdose.io.open_series import open_source
from lowdose.io.source import Source
from lowdose.models.checkpoint import DEFAULT_MODEL
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.volume import Volume, VolumeSource, read_volume

Input = str | PathLike[str] | Volume | NDArray[Any] | Source
"""A file or folder, a volume, an array of HU (with its spacing), or a series that is open already."""

Spacing = tuple[float, ...]


def read(source: Input, *, series: str | None = None, spacing: Spacing | None = None) -> Volume:
    """Read a CT series into memory.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        A DICOM folder, file or zip, a .nii, .nii.gz, .npy or .npz file; or an array of HU, (z, y, x) or (y, x).
    series : str, optional
        SeriesInstanceUID, or its end, where a folder holds several series.
    spacing : tuple of float, optional
        (z, y, x) in mm, for arrays only, where it is required.

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
        When the slices do not form one regular grid: `denoise` takes such a series by its path.
    InvalidSetting
        For a ``series`` that is not there, a ``spacing`` without an array, or an array without one.

    Examples
    --------
    >>> import numpy as np
    >>> import lowdose
    >>> water = lowdose.read(np.zeros((4, 64, 64)), spacing=(3.0, 0.7, 0.7))
    >>> water.hu.shape, water.geometry.spacing
    ((4, 64, 64), (3.0, 0.7, 0.7))
    """
    if isinstance(source, Volume):
        return source
    with open_input(source, series, spacing) as opened:
        return opened.volume if isinstance(opened, VolumeSource) else read_volume(opened, series)


@contextmanager
def open_input(source: Input, series: str | None = None, spacing: Spacing | None = None) -> Iterator[Source]:
    """Open any input as a series that is read slice by slice. Raises as `read` does, but for irregular grids."""
    if isinstance(source, (str, PathLike)):
        if spacing is not None:
            raise InvalidSetting(f"spacing {spacing}: is for arrays; {source} is a file, which states its own")
        with open_source(Path(source), series) as opened:
            yield opened
        return
    if series is not None:
        raise InvalidSetting(f"series '{series}': chooses among the series of a folder; leave it out for a volume")
    if isinstance(source, Volume):
        if spacing is not None:
            raise InvalidSetting(f"spacing {spacing}: the volume states {source.geometry.spacing} mm; leave it out")
        yield VolumeSource(source)
    elif not isinstance(source, np.ndarray) and hasattr(source, "planes"):
        yield source
    elif spacing is None:
        shape = getattr(source, "shape", type(source).__name__)
        raise GeometryMismatch(f"an array of shape {shape} without a spacing: give spacing=(z, y, x) in mm")
    else:
        yield VolumeSource(Volume.from_array(np.asarray(source), spacing))


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
