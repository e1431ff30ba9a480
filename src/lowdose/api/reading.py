"""What the functions of the interface are given: files, volumes, arrays and models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose import plugins
from lowdose.api.checks import check_numbers, check_rescale, path_of
from lowdose.api.messages import log_engine_message
from lowdose.device import choose_device
from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.infer.engines.base import EXACT
from lowdose.infer.engines.select_engine import AUTO, run_on_engine
from lowdose.io.input_kind import check_input
from lowdose.io.open_series import open_source
from lowdose.io.source import Rescale, Source
from lowdose.io.stated_sizes import UNSTATED, Sizes, state_sizes
from lowdose.models.at_inference import choose_at_inference
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.volume import Volume
from lowdose.volume_source import VolumeSource, read_volume
from lowdose.weights.identity import DEFAULT_MODEL

Input = str | PathLike[str] | Volume | NDArray[Any] | Source
"""A file or folder, a volume, an array of HU (with its spacing), or a series that is open already."""

Spacing = tuple[float, ...]

SPACING_NEEDED = "give spacing=(z, y, x) in mm, or pixel and thickness"
"""Way out for arrays of unknown voxel size."""


def read(
    source: Input,
    *,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
) -> Volume:
    """Read a CT series into memory.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        A DICOM folder or file, as it is or in a zip or tar; NIfTI, Analyze, NumPy or, with the extra "formats", NRRD
        and MetaImage; or an array of HU, (z, y, x) or (y, x). What a file is, its content decides.
    series : str, optional
        SeriesInstanceUID, or its end, where a folder holds several series.
    spacing : tuple of float, optional
        (z, y, x) in mm; for arrays, and for .npy and .npz files that are to be a volume.
    pixel, thickness : float, optional
        Pixel size and slice thickness in mm, where the input states none; what it states is used, and a warning says
        where that is something else. Both together make a grid of slices that touch each other.
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
    sizes = stated_sizes(pixel, thickness)
    unchanged = series is None and spacing is None and rescale is None and sizes == UNSTATED
    if isinstance(source, Volume) and unchanged:
        return source
    with open_input(source, series, spacing, sizes, rescale) as opened:
        if isinstance(opened, VolumeSource):
            return replace(opened.volume, acquisition=opened.acquisition)
        return read_volume(opened, series, source)


@contextmanager
def open_input(
    source: Input,
    series: str | None = None,
    spacing: Spacing | None = None,
    sizes: Sizes = UNSTATED,
    rescale: Rescale | None = None,
) -> Iterator[Source]:
    """Open any input as a series that is read slice by slice. Raises as `read` does, but for irregular grids."""
    check_rescale(rescale)
    if isinstance(source, (str, PathLike)):
        _check_path(source, series, spacing)
        path = path_of(source, "input")
        with open_source(path, series, UNSTATED if spacing else sizes, rescale) as opened:
            yield opened if spacing is None else _with_spacing(opened, spacing, sizes)
        return
    if series is not None:
        raise InvalidSetting(f"series '{series}': chooses among the series of a folder; leave it out for a volume")
    if rescale is not None:
        raise InvalidSetting(f"rescale {rescale}: is for DICOM files; leave it out for what is in HU already")
    if isinstance(source, Volume):
        if spacing is not None:
            raise InvalidSetting(f"spacing {spacing}: the volume states {source.geometry.spacing} mm; leave it out")
        yield _sized(VolumeSource(source), sizes)
    elif isinstance(source, Source):
        yield _sized(source, sizes)
    else:
        if spacing is None and sizes.pixel is not None and sizes.thickness is not None:
            spacing = (sizes.thickness, sizes.pixel, sizes.pixel)
        yield _sized(VolumeSource(_volume_of(source, spacing)), sizes)


def stated_sizes(pixel: float | None, thickness: float | None) -> Sizes:
    """Return the sizes that a user states. Raises InvalidSetting for what is no number, or no size of a CT image."""
    check_numbers(pixel=pixel, thickness=thickness)
    return Sizes(pixel, thickness)


def check_given(source: Input, series: str | None = None, spacing: Spacing | None = None) -> None:
    """Raise for a path that cannot be an input, before anything that takes time is begun."""
    if isinstance(source, (str, PathLike)):
        _check_path(source, series, spacing)
        check_input(path_of(source, "input"))


def _sized(source: Source, sizes: Sizes) -> Source:
    state_sizes(source, sizes)
    return source


def _check_path(path: str | PathLike[str], series: str | None, spacing: Spacing | None) -> None:
    if series is not None and not isinstance(series, str):
        raise InvalidSetting(f"series {series!r}: must be a SeriesInstanceUID or its end, as text")
    if spacing is not None and Path(path).suffix.lower() not in (".npy", ".npz"):
        raise InvalidSetting(f"spacing {spacing}: is for arrays; {path} is a file, which states its own")


def _with_spacing(source: Source, spacing: Spacing, sizes: Sizes) -> Source:
    """Return the slices of a file that states no spacing as a volume. Raises InvalidSetting when it states one."""
    if any(plane.pixel_mm for plane in source.planes):
        raise InvalidSetting(f"spacing {spacing}: is for arrays; {source.path} states its own")
    hu = np.stack([source.read(index).hu for index in range(len(source))])
    return _sized(VolumeSource(Volume.from_array(hu, spacing)), sizes)


def _volume_of(array: Any, spacing: Spacing | None) -> Volume:
    """Return an array, or nested lists of numbers, as a volume; raise InvalidSetting for anything else."""
    nested = isinstance(array, (list, tuple))
    if not nested and not hasattr(array, "__array__"):
        raise InvalidSetting(f"a {type(array).__name__} is no input; give a path, a Volume or an array of HU")
    if nested and any(isinstance(item, (str, PathLike)) for item in array):
        raise InvalidSetting(f"a list of {len(array)} paths is no input; give the folder that holds the files")
    if spacing is None:
        shape = f"of {len(array)} slices" if nested else f"of shape {array.shape}"
        raise GeometryMismatch(f"an array {shape} without a spacing: {SPACING_NEEDED}")
    return Volume.from_array(array, spacing)


def load_model(
    model: str | PathLike[str] = DEFAULT_MODEL,
    *,
    device: str = "auto",
    engine: str = AUTO,
    accuracy: str = EXACT,
    network_file: str | PathLike[str] | None = None,
    steps: int | None = None,
    depth: int | None = None,
) -> LoadedModel:
    """Load a denoiser and put it on the engine that runs it.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, of one that the user added or of a classical filter, or a .safetensors file.
    device : {"auto", "cpu", "cuda"}
        Where it runs.
    engine : {"auto", "measure", "winograd", "openvino", "onnxruntime", "torch"}
        What runs the network. "auto" starts with the first one here that is right and, in a long series, measures
        them and takes the fastest; "measure" measures them on the first slice, whatever earlier runs have found.
    accuracy : {"exact", "fast"}
        "exact": within 0.01 HU of float64. "fast": within 1 HU rms, checked on each series.
    network_file : str or Path, optional
        Python file that registers the model's network, where that is the user's own; it is executed.
    steps, depth : int, optional
        Sampling steps, or depth of an unrolled network, for models that declare them.

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
    run_network_file(network_file)
    loaded = load_by_name(str(model), choose_device(device))
    loaded = choose_at_inference(loaded, {"steps": steps, "depth": depth})
    return run_on_engine(loaded, engine, accuracy, log_engine_message)


def run_network_file(path: str | PathLike[str] | None) -> None:
    """Execute the Python file that registers the user's own networks, if one is given."""
    if path is not None:
        plugins.run_file(path_of(path, "network_file"))


def resolve_model(
    model: str | PathLike[str] | LoadedModel | None,
    device: str = "auto",
    engine: str = AUTO,
    accuracy: str = EXACT,
    network_file: str | PathLike[str] | None = None,
    **at_inference: int | None,
) -> LoadedModel:
    """Return a loaded model as it is, and load any other.

    Raises InvalidSetting for settings of a network that is loaded already.
    """
    if isinstance(model, LoadedModel):
        for name, value in at_inference.items():
            if value is not None:
                raise InvalidSetting(f"{name}={value}: {model.name} is loaded already; give it to load_model")
        return model
    return load_model(
        DEFAULT_MODEL if model is None else model,
        device=device,
        engine=engine,
        accuracy=accuracy,
        network_file=network_file,
        **at_inference,
    )
