"""Find lesions in a series: the function behind ``lowdose detect``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from lowdose.api.checks import free_folder, path_of
from lowdose.api.detected_lesions import DetectedLesions
from lowdose.api.lesions_of_series import detect_lesions, load_detection
from lowdose.api.messages import Progress, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, stated_sizes
from lowdose.io.atomic import new_folder
from lowdose.io.input_kind import without_gz
from lowdose.io.source import Rescale
from lowdose.logger import log
from lowdose.models.load import LoadedModel


def detect(
    source: Input,
    detector: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    model: str | PathLike[str] | LoadedModel | None = None,
    score: float = 0.5,
    network_file: str | PathLike[str] | None = None,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> DetectedLesions:
    """Find lesions in a series with a detector of ``lowdose train lidnet``. For research; it is no diagnosis.

    The detector looks at each slice as `denoise` would write it with ``model``. Boxes that overlap in neighbouring
    slices are one lesion, see `lowdose.infer.lesion_linking`.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        See `read`.
    detector : str or Path
        Run folder of a training with the recipe ``lidnet``, or its detector.safetensors.
    out : str or Path, optional
        New folder for lesions.json, lesions.png and, of a DICOM series, lesions.dcm; ``save`` of the result writes the
        same.
    model : str, Path or LoadedModel, optional
        Denoiser by name or path; left out, the model of the detector's run. "none": the series as it is.
    score : float
        Score from which a box counts, 0.05 to 1.
    network_file : str or Path, optional
        Python file that registers the network of ``model``, where that is the user's own; it is executed.
    series, spacing, pixel, thickness, rescale
        See `read`.
    device : {"auto", "cpu", "cuda"}
        Where detector and denoiser run.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    DetectedLesions
        Can be saved, shown in a notebook, and turned into a dict.

    Raises
    ------
    LowDoseError
        Any of `lowdose.errors`: a file that is no detector, a run without a model, input that is no CT in HU.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.detect("SERIES", "RUN", model="fast").lines()  # doctest: +SKIP
    """
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    target = free_folder(out)
    loaded = load_detection(detector, model, score, network_file, device)
    with open_input(source, series, spacing, sizes, rescale) as opened:
        if target is None:
            return detect_lesions(opened, loaded, progress)
        with new_folder(target) as folder:
            result = detect_lesions(opened, loaded, progress)
            result.write_files(folder)
            return result


def detect_each(
    sources: Sequence[str | PathLike[str]],
    detector: str | PathLike[str],
    out: str | PathLike[str],
    *,
    model: str | PathLike[str] | LoadedModel | None = None,
    score: float = 0.5,
    network_file: str | PathLike[str] | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> dict[str, DetectedLesions]:
    """Do what `detect` does for several series, with one folder for each in ``out``, and return the results by folder.

    The folders bear the names of the inputs, with a number where two have the same. All of it is written or nothing.
    """
    sizes = stated_sizes(pixel, thickness)
    for source in sources:
        check_given(source)
    free_folder(out)  # before the networks are loaded
    loaded, results = load_detection(detector, model, score, network_file, device), dict[str, DetectedLesions]()
    with new_folder(path_of(out, "out")) as folder:
        for source, name in zip(sources, folder_names(sources), strict=True):
            log.info("%s", name)
            with open_input(source, sizes=sizes, rescale=rescale) as opened:
                results[name] = detect_lesions(opened, loaded, progress)
            (folder / name).mkdir()
            results[name].write_files(folder / name)
    return results


def folder_names(sources: Sequence[str | PathLike[str]]) -> list[str]:
    """Return the names of inputs without their endings, each once: the second 'scan' becomes 'scan-2'."""
    names = list[str]()
    for source in sources:
        path = Path(source).resolve()
        name = without_gz(path).stem if path.is_file() else path.name
        count, free = 1, name
        while free in names:
            count, free = count + 1, f"{name}-{count + 1}"
        names.append(free)
    return names
