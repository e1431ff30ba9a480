"""Adapt a model to one scanner from its low-dose series alone: the function behind ``lowdose adapt``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowdose.api import html
from lowdose.api.checks import check_numbers, path_of
from lowdose.api.training import TrainingProgress, train
from lowdose.api.training_run import TrainingRun
from lowdose.errors import InvalidSetting
from lowdose.io.atomic import refuse_existing_folder
from lowdose.io.atomic_replace import replace_file
from lowdose.io.open_series import open_source
from lowdose.logger import log
from lowdose.metrics.noise_estimate import noise_level
from lowdose.models.checkpoint import DenoiserCheckpoint, load_denoiser
from lowdose.models.classical import CLASSICAL
from lowdose.models.install import check_name, install_model
from lowdose.models.training_domain import SAMPLED_SLICES, SeriesMeasurements, domain_warnings, measure_series
from lowdose.networks.noise_vae import read_noise_model
from lowdose.phantom.patient import digital_patient
from lowdose.recipes import get_recipe
from lowdose.training.continued import continued
from lowdose.training.learned_noise.recipe import NOISE_SHARE
from lowdose.training.recipe import DenoiserRecipe
from lowdose.weights.identity import DEFAULT_MODEL

MODEL_SHARE = 0.6
"""Share of the time in which the model is trained; what that of the noise leaves is for digital patients."""
PATIENTS, SLICES, SPACING_MM, SIZE = 10, 10, 60.0, 512
"""Digital patients, slices of each, and their distance and size."""
FIRST_SEED = 200_000
LEARNING_RATE = 1e-4
"""Largest learning rate of a model that is trained already."""
REPORT = "adaptation.json"


@dataclass(frozen=True)
class Adaptation:
    """A model for one scanner.

    Attributes
    ----------
    path : Path
        Folder of the runs of the noise model, 'noise', and of the denoiser, 'model'.
    complete : bool
        False when a signal stopped it early: the same call goes on.
    report : dict
        Training range and noise before and after, by series; empty when not complete.
    """

    path: Path
    complete: bool
    report: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The weights file, for ``model=`` and ``lowdose models add``."""
        return TrainingRun(self.path / "model", self.complete).weights

    @property
    def lines(self) -> list[str]:
        """The report as text."""
        lines = []
        for series, found in self.report.items():
            for when in ("before", "after"):
                sds, warnings = found["noise_sd"], found[f"warnings_{when}"]
                noise = "unknown" if sds["input"] is None else f"{sds['input']:.1f} HU to {sds[when]:.1f} HU"
                lines.append(f"{series}, {when}: noise {noise}; {'; '.join(warnings) or 'inside the training range'}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return folder, state and report."""
        return {"path": str(self.path), "complete": self.complete, "report": self.report}

    def _repr_html_(self) -> str:
        """Show the report, for notebooks."""
        return html.table(["adapted model"], [[line] for line in self.lines])


def adapt(
    series: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    model: str | PathLike[str] = DEFAULT_MODEL,
    normal: str | PathLike[str] | None = None,
    name: str | None = None,
    minutes: float = 60.0,
    device: str = "auto",
    progress: TrainingProgress | None = None,
) -> Adaptation:
    """Adapt a model to one scanner from its low-dose series alone, without any reference.

    The noise of the series is learned (recipe "noise_vae") and put on slices of normal dose, or of digital patients
    that are made on the spot; on these pairs the model is trained further by the recipe that it was trained by. What is
    done already is kept in ``out``: the same call goes on where one was stopped.

    Parameters
    ----------
    series : path or sequence of paths
        Low-dose series of one scanner and protocol.
    out : str or Path
        Folder for both runs, the digital patients and the report.
    model : str or Path
        Model to start from: by name, or its file.
    normal : str or Path, optional
        Folder with series of normal dose, of any scanner, instead of digital patients.
    name : str, optional
        Name under which the adapted model is added to those of `denoise`.
    minutes : float
        Time for all of it.
    device : str
        "auto", "cpu" or "cuda".
    progress : callable, optional
        Called with (step, steps, loss, seconds left) of each training.

    Returns
    -------
    Adaptation
        Has the weights file and a report: training range and noise, before and after.

    Raises
    ------
    InvalidSetting
        For a model that is not trained, or by no recipe that is known, and for a name that is taken.
    LowDoseError
        Any other of `lowdose.errors`.

    Examples
    --------
    >>> import lowdose
    >>> adapted = lowdose.adapt("LOWDOSE", "RUN", minutes=60, name="our-scanner")  # doctest: +SKIP
    >>> lowdose.denoise("SERIES", "OUT", model="our-scanner")  # doctest: +SKIP
    """
    check_numbers(minutes=minutes)
    if not minutes > 0:
        raise InvalidSetting(f"--minutes {minutes:g}: must be above 0")
    places = [series] if isinstance(series, (str, PathLike)) else list(series)
    data, folder = [path_of(place, "series") for place in places], path_of(out, "out")
    if not folder.is_dir():
        refuse_existing_folder(folder)
    if name is not None:
        check_name(name, TrainingRun(folder / "model", False).weights)
    start, options = _fine_tuning(str(model))
    before = [_measure(place, start) for place in data]  # also refuses what is no series, before anything is written
    shared: dict[str, Any] = {"device": device, "progress": progress}
    noise = _train("noise_vae", folder / "noise", NOISE_SHARE * minutes, data=data, **shared)
    if not noise.complete:
        return Adaptation(folder, False, {})
    clean = _digital_patients(folder) if normal is None else path_of(normal, "normal")
    tuned = _train(
        str(start.training["recipe"]), folder / "model", MODEL_SHARE * minutes, data=clean, pairing="learned-noise",
        noise=noise.path, start=Path(str(model)), **options, **shared,
    )  # fmt: skip
    if not tuned.complete:
        return Adaptation(folder, False, {})
    adapted = load_denoiser(str(tuned.weights))
    after = [_measure(place, adapted) for place in data]
    report = {
        str(place): {
            "noise_sd": {"input": one["input"], "before": one["output"], "after": other["output"]},
            "warnings_before": one["warnings"],
            "warnings_after": other["warnings"],
        }
        for place, one, other in zip(data, before, after, strict=True)
    }
    replace_file(folder / REPORT, json.dumps(report, indent=2).encode())
    if name is not None:
        install_model(tuned.weights, name)
    return Adaptation(folder, True, report)


def _fine_tuning(model: str) -> tuple[DenoiserCheckpoint, dict[str, Any]]:
    """Return a model and the options with which its recipe trains it further. Raises InvalidSetting if none does."""
    if model in CLASSICAL:
        raise InvalidSetting(f"--model {model}: is a classical filter and learns nothing; choose a trained model")
    found = load_denoiser(model)
    name = found.training.get("recipe")
    recipe = get_recipe(str(name)) if name else None
    if not isinstance(recipe, DenoiserRecipe):
        raise InvalidSetting(f"--model {model}: states no recipe that it was trained by; choose another model")
    options: dict[str, Any] = {"set": {"learning_rate": LEARNING_RATE, "validation_patients": 0}}
    if recipe.accepts_any_network:
        settings = ",".join(f"{key}={value}" for key, value in found.denoiser.spec.settings.items())
        options["network"] = f"{found.denoiser.spec.name}:{settings}" if settings else found.denoiser.spec.name
    return found, options


def _train(recipe: str, run: Path, minutes: float, **options: Any) -> TrainingRun:
    """Train in a folder, or go on with what it holds, for as many steps as were fitted to the time."""
    how = continued(run, minutes)
    if not how.resume:
        log.info("%s: %.0f minutes, in %s", recipe, minutes, run)
    values = {**options.pop("set", {}), **how.steps}
    return train(recipe, run, minutes=how.minutes, resume=how.resume, set=values, **options)


def _digital_patients(folder: Path) -> Path:
    """Make what is missing of the digital patients, with the pixels of the noise, and return their folder."""
    pixel_mm = float(read_noise_model(folder / "noise")[0].pixel_mm)
    patients = folder / "digital-patients"
    for number in range(PATIENTS):
        file = patients / f"{number}" / "full.npz"
        if not file.exists():
            log.info("digital patient %d/%d", number + 1, PATIENTS)
            patient = digital_patient(
                FIRST_SEED + number, region="trunk", slices=SLICES, size=SIZE, pixel_mm=max(pixel_mm, 320 / SIZE),
                spacing_mm=SPACING_MM, thickness_mm=3.0,
            )  # fmt: skip
            file.parent.mkdir(parents=True, exist_ok=True)
            patient.volume.save(file)
    return patients


def _measure(place: Path, model: DenoiserCheckpoint) -> dict[str, Any]:
    """Return the warnings of a model for a series, and the noise of a few slices before and after its network."""
    sds = list[tuple[float, float]]()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(place))
        measured: SeriesMeasurements = measure_series(source)
        places = np.linspace(0, len(source) - 1, min(SAMPLED_SLICES, len(source)) + 2)[1:-1].round().astype(int)
        for index in dict.fromkeys(places.tolist()):
            item = source.read(index)
            hu = torch.from_numpy(item.in_air)[None, None].expand(1, 2 * model.denoiser.context + 1, -1, -1)
            clean = model.denoiser.denoise(hu)[0, 0].numpy()
            levels = [noise_level(image, item.valid, item.mean_pixel_mm or 1.0) for image in (item.in_air, clean)]
            if levels[0] is not None and levels[1] is not None:
                sds.append((levels[0].sd, levels[1].sd))
    medians = np.median(sds, axis=0).round(2).tolist() if sds else [None, None]
    return {"warnings": domain_warnings(measured, model.domain), "input": medians[0], "output": medians[1]}
