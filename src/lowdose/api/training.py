"""Train a network by a recipe: the function behind ``lowdose train``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from lowdose import recipes
from lowdose.api.checks import path_of
from lowdose.api.reading import run_network_file
from lowdose.api.training_data import TrainingInput, training_folders
from lowdose.api.training_request import (
    Request,
    train_anatomy_recipe,
    train_autoencoder_recipe,
    train_denoiser_recipe,
    train_noise_recipe,
)
from lowdose.api.training_run import TrainingRun
from lowdose.deprecations import earlier_teachers
from lowdose.errors import InvalidSetting
from lowdose.logger import log
from lowdose.training.anatomy_recipe import AnatomyRecipe
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.runner import RunOptions, refuse_other_run

Settings = Mapping[str, float | str] | Sequence[str]
TrainingProgress = Callable[[int, int, float, float], None]
"""Called with (step, steps, loss, seconds left)."""


def list_recipes() -> list[str]:
    """Return the names of all recipes.

    Examples
    --------
    >>> import lowdose
    >>> "leda" in lowdose.list_recipes()
    True
    """
    return recipes.recipe_names()


def train(
    recipe: str | None,
    out: str | PathLike[str],
    *,
    recipe_file: str | PathLike[str] | None = None,
    network_file: str | PathLike[str] | None = None,
    data: TrainingInput | Sequence[TrainingInput] | None = None,
    findings: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    set: Settings = (),  # noqa: A002 - as the option of the command line is called
    split: str | None = None,
    pairing: str | None = None,
    bank: str | PathLike[str] | None = None,
    noise: str | PathLike[str] | None = None,
    low: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    start: str | PathLike[str] | None = None,
    network: str | None = None,
    teacher: str | Sequence[str] | None = None,
    adversary: str | None = None,
    base: str | None = None,
    size: str | None = None,
    vocabulary: str | PathLike[str] | None = None,
    clip: str | PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str = "auto",
    minutes: float | None = None,
    checkpoint_minutes: float | None = None,
    resume: bool = False,
    progress: TrainingProgress | None = None,
    **earlier: str | PathLike[str] | None,
) -> TrainingRun:
    """Train a network by a recipe.

    Parameters
    ----------
    recipe : str or None
        One of `list_recipes`; None with ``recipe_file``.
    out : str or Path
        Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.
    recipe_file : str or Path, optional
        Python file that defines ``RECIPE``; it is executed.
    network_file : str or Path, optional
        Python file that registers networks, for ``network``; it is executed.
    data : path, Volume, pair of them, or a sequence of these
        Folders in which pairs (or normal-dose scans, see ``pairing``) lie, or packs; for the anatomy network folders
        with a CT and its labels. Or volumes: pairs (low, full), or with pairing="simulated" volumes of normal dose.
    findings : path or sequence of paths, optional
        Files or folders of annotated lesions, for recipes that learn from boxes, such as ``lidnet``: COCO JSON, DICOM
        segmentations and structure sets, the XML of LIDC-IDRI, the table of DeepLesion, NIfTI masks.
    set : mapping or sequence of str
        Hyperparameters by name, ``{"steps": 2000}`` or ``["steps=2000"]``.
    split : str, optional
        Published split whose training cases to use.
    pairing : str, optional
        "folders" (the default but for ``tddl_gcn``): pairs of scans; "simulated": low dose is simulated from scans of
        normal dose; "none": single scans of any dose; "learned-noise": scans of normal dose and the same with the noise
        of a model, see ``noise`` and ``low``; "gaussian-noise", "poisson-noise": with white noise, or Poisson noise of
        the image, of its strength; or a pairing of one's own.
    bank : str or Path, optional
        Folder for simulated noise, or for digital patients, to be used again.
    noise : str or Path, optional
        Noise model for the pairings that add noise: a run folder of the recipe "noise_vae" or "noise_gan", or its file.
    low : str or Path, or sequence of these, optional
        Low-dose scans of one scanner, instead of ``noise``: their noise is learned first, in the folder 'noise' of the
        run, in a quarter of ``minutes`` where these are given. Its hyperparameters are those that begin with "noise.",
        as in ``{"noise.steps": 1000}``.
    start : str or Path, optional
        Weights of the same network to go on from, the file of an artefact, such as RUN/critic.safetensors, or a run
        folder: all that it holds.
    network : str, optional
        For recipes that are a loss: the denoiser to train, "NAME" or "NAME:setting=number,...".
    teacher : str or sequence of str, optional
        Frozen network that the recipe looks with instead of its usual one, "KIND:NAME" as in "features:anatomy".
    adversary : str, optional
        Discriminator in place of the recipe's own, or beside a loss that has none: "anatomy" (ALDEN's) or "patch", or
        "NAME:weight=0.0003,width=64,learning_rate=0.0001", any of them.
    base : str, optional
        Of the recipe ``lidnet``: the recipe whose denoiser learns together with the detector, "red_cnn" by default.
    size, vocabulary, clip
        Of the recipe ``leda_autoencoder``; refused where they mean nothing.
    device, devices, nodes, precision
        Where it runs: "auto", "cpu" or "cuda"; processes on each node; nodes; "auto", "32-true" or "bf16-mixed".
    minutes : float, optional
        Minutes of the whole run, instead of the hyperparameter ``steps``: the number of steps is set by the pace of
        the first seconds, so that the learning rate reaches its end when the time does. run.json states it.
    checkpoint_minutes : float, optional
        Save after so many minutes, too, besides the steps of the hyperparameter ``checkpoint_every``.
    resume : bool
        Continue the run in ``out`` exactly.
    progress : callable, optional
        Called with (step, steps, loss, seconds left).
    **earlier
        Keywords of earlier versions, which still work (``lowdose.deprecations``).

    Returns
    -------
    TrainingRun
        Can load the trained model, be shown in a notebook, and turned into a dict.

    Raises
    ------
    InvalidSetting
        For an unknown recipe or hyperparameter, and for options that mean nothing to the recipe.
    OutputRefused
        When ``out`` holds a run already and ``resume`` is False.
    LowDoseError
        Any other of `lowdose.errors`.

    Examples
    --------
    >>> import lowdose
    >>> run = lowdose.train("unet", "RUN", data="PAIRS", set={"steps": 20_000})  # doctest: +SKIP
    >>> lowdose.denoise("SERIES", "OUT", model=run.weights)  # doctest: +SKIP
    """
    run_network_file(network_file)
    name, chosen = _choose_recipe(recipe, recipe_file)
    usual, run = getattr(chosen, "pairing", None), path_of(out, "out")
    options = RunOptions(
        device, devices, nodes, precision, resume, minutes, checkpoint_minutes,
        _hashes(recipe_file=recipe_file, network_file=network_file),
    )  # fmt: skip
    refuse_other_run(run, options)
    with ExitStack() as stack:
        request = Request(
            name, run, training_folders(stack, data, pairing or usual), _as_text(set), options,
            progress or _log_progress,
            split=split, pairing=pairing, bank=_path(bank), noise=_path(noise), low=_paths(low, "low"),
            start=_path(start), network=network, teacher=earlier_teachers(teacher, earlier), adversary=adversary,
            base=base, size=size, vocabulary=_text(vocabulary), clip=_text(clip), findings=_paths(findings, "findings"),
        )  # fmt: skip
        if isinstance(chosen, AnatomyRecipe):
            complete = train_anatomy_recipe(request, chosen)
        elif isinstance(chosen, AutoencoderRecipe):
            complete = train_autoencoder_recipe(request, chosen)
        elif isinstance(chosen, NoiseRecipe):
            complete = train_noise_recipe(request, chosen)
        else:
            complete = train_denoiser_recipe(request, chosen)
    return TrainingRun(run, complete)


def _choose_recipe(name: str | None, file: str | PathLike[str] | None) -> tuple[str, recipes.AnyRecipe]:
    """Return the recipe with its name. Raises InvalidSetting unless either a name or a file is given."""
    if file is not None and name is not None:
        raise InvalidSetting(f"--recipe-file {file}: takes the place of the recipe {name}; leave one of them out")
    if file is not None:
        return recipes.read_recipe_file(path_of(file, "recipe_file"))
    if name is None:
        raise InvalidSetting(f"no recipe given; there are {', '.join(recipes.recipe_names())}, or give --recipe-file")
    return name, recipes.get_recipe(name)


def _hashes(**files: str | PathLike[str] | None) -> dict[str, str]:
    """Return the name and the SHA-256 of each file that was given."""
    given = {option: Path(file) for option, file in files.items() if file is not None}
    return {option: f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for option, file in given.items()}


def _log_progress(step: int, steps: int, loss: float, seconds_left: float) -> None:
    minutes, seconds = divmod(int(seconds_left), 60)
    log.info("step %d/%d  loss %.4g  %d min %02d s left", step, steps, loss, minutes, seconds)


def _as_text(settings: Settings) -> dict[str, str]:
    """Return hyperparameters by name as text. Raises InvalidSetting for what is no NAME=VALUE."""
    if isinstance(settings, Mapping):
        return {name: str(value) for name, value in settings.items()}
    values = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidSetting(f"--set {text}: write NAME=VALUE, for example --set steps=2000")
        values[name] = value
    return values


def _path(value: str | PathLike[str] | None) -> Path | None:
    return None if value is None else path_of(value, "bank, noise or start")


def _paths(value: str | PathLike[str] | Sequence[str | PathLike[str]] | None, name: str) -> list[Path] | None:
    places = [value] if isinstance(value, (str, PathLike)) else list(value or ())
    return [path_of(place, name) for place in places] or None


def _text(value: str | PathLike[str] | None) -> str | None:
    return None if value is None else str(value)
