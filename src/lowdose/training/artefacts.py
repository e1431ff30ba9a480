"""Modules that a run writes beside its model, and that another run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.errors import InvalidSetting
from lowdose.io.atomic_replace import replace_file
from lowdose.methods.base import Method
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.neighbours import load_weights_of_fewer_slices
from lowdose.weights.artefact import artefact_name, load_artefact, serialise_artefact
from lowdose.weights.files import read_weights
from lowdose.weights.identity import shipped_weights
from lowdose.weights.user_models import user_model_hashes

SUFFIX = ".safetensors"
MODEL = "model"


def artefact_files(method: Method[Any]) -> dict[str, str]:
    """Return the name of the file in the run folder for each artefact. Raises ValueError for one called 'model'."""
    names = method.artefacts()
    if MODEL in names:
        raise ValueError(f"{type(method).__name__}.artefacts(): '{MODEL}' is the file of the model itself")
    return {name: f"{name}{SUFFIX}" for name in names}


def write_artefacts(run: Path, method: Method[Any], training: Mapping[str, object]) -> None:
    """Write each artefact of the method into the run folder; ``training`` describes the training."""
    for name, module in method.artefacts().items():
        content = serialise_artefact(name, module, str(training["recipe"]), run.resolve().name, training)
        replace_file(run / f"{name}{SUFFIX}", content)


def model_file(start: Path) -> Path:
    """Return the file of the model that ``--start`` names: of a run folder, the one in it."""
    return start / f"{MODEL}{SUFFIX}" if _is_run_folder(start) else start


def load_start_model(denoiser: Denoiser, start: Path | None) -> dict[str, str]:
    """Load the weights of the model that ``start`` names, if it names one, and return the SHA-256 by name.

    start: a model, its file, the file of an artefact, or a run folder, which stands for all that is in it.
    """
    if start is None or _named_artefact(start) is not None:
        return {}
    return {MODEL: _load_weights(denoiser, model_file(start))}


def load_start_artefacts(method: Method[Any], start: Path | None, recipe: str) -> dict[str, str]:
    """Load the artefacts that ``start`` names, and return the SHA-256 by name.

    Of a run folder, those that the method has too. Raises InvalidSetting for the file of an artefact that it has not.
    """
    artefacts = method.artefacts()
    if start is None:
        return {}
    if _is_run_folder(start):
        files = {name: start / file for name, file in artefact_files(method).items()}
        return {name: load_artefact(artefacts[name], name, file) for name, file in files.items() if file.exists()}
    name = _named_artefact(start)
    if name is None:
        return {}
    if name not in artefacts:
        there = ", ".join((MODEL, *artefacts))
        raise InvalidSetting(f"{start}: holds a {name}, which the recipe {recipe} does not train; it trains {there}")
    return {name: load_artefact(artefacts[name], name, start)}


def _is_run_folder(start: Path) -> bool:
    known = {*shipped_weights("denoiser"), *user_model_hashes("denoiser")}  # a model's name comes before a folder's
    return str(start) not in known and start.is_dir()


def _named_artefact(start: Path) -> str | None:
    """Return what the file of an artefact holds; None for anything else."""
    return artefact_name(read_weights(start)) if start.suffix == SUFFIX and start.is_file() else None


def _load_weights(denoiser: Denoiser, start: Path) -> str:
    """Load the weights of a model into ``denoiser`` and return the SHA-256 of the file.

    They may be those of the same network for fewer neighbouring slices. Raises InvalidSetting when they belong to
    another network or scale.
    """
    model = checkpoint.load_denoiser(str(start))
    loaded = model.denoiser
    settings = [{**spec.settings, "slices": 1} for spec in (loaded.spec, denoiser.spec)]
    same = loaded.spec.name == denoiser.spec.name and settings[0] == settings[1] and loaded.scale == denoiser.scale
    if not same or loaded.context > denoiser.context:
        raise InvalidSetting(
            f"{start}: holds {loaded.spec} on {loaded.scale}, this run trains {denoiser.spec} on {denoiser.scale}; "
            "start from weights of the same network, for as many slices or fewer"
        )
    load_weights_of_fewer_slices(denoiser.network, loaded.network.state_dict())
    return model.sha256
