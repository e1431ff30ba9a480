"""File of a module that a training made beside the model, such as a critic: safetensors with a header that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights.files import WeightsFile, read_weights, serialise_weights

FORMAT = "lowdose-artefact-1"
"""Value of "format" in the header."""


def serialise_artefact(name: str, module: nn.Module, recipe: str, run: str, training: Mapping[str, object]) -> bytes:
    """Return the content of a file that holds a module.

    name: what it is, such as 'critic'. recipe, run: what it was trained by, and in which run folder. training:
    description of the training.
    """
    header = {
        "format": FORMAT,
        "artefact": name,
        "module": type(module).__name__,
        "recipe": recipe,
        "run": run,
        "training": json.dumps(training),
    }
    return serialise_weights(module, header)


def load_artefact(module: nn.Module, name: str, path: Path) -> str:
    """Load the weights of a file into a module, and return the SHA-256 of the file.

    name: what the module is. Raises IncompatibleCheckpoint when the file is damaged, holds something else, or a module
    of another size.
    """
    return fill_artefact(module, name, read_weights(path), path)


def fill_artefact(module: nn.Module, name: str, file: WeightsFile, path: Path) -> str:
    """Do what ``load_artefact`` does with a file that has been read; ``path`` is its name in messages."""
    if artefact_name(file) != name:
        raise IncompatibleCheckpoint(f"{path}: holds no {name}; name the file that the training wrote as {name}")
    broken = [key for key, value in file.tensors.items() if not bool(value.isfinite().all())]
    if broken:
        raise IncompatibleCheckpoint(f"{path}: weights '{broken[0]}' hold NaN or infinity: that training failed")
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    if shapes != {key: tuple(value.shape) for key, value in file.tensors.items()}:
        raise IncompatibleCheckpoint(
            f"{path}: its {name} has other layers than that of this training; take the settings it was trained with"
        )
    module.load_state_dict(file.tensors)
    return file.sha256


def artefact_name(file: WeightsFile) -> str | None:
    """Return what a weights file holds, such as 'critic'; None for a file of another kind."""
    return file.header.get("artefact") if file.header.get("format") == FORMAT else None
