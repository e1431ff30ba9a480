"""Weights of other people's networks, from a file the user has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights import files

PICKLED = (".pth", ".pt")


def read_state_dict(path: Path, recipe: str) -> Mapping[str, object]:
    """A state dict, from .safetensors, or from .pth and .pt by the unpickler that takes tensors alone.

    ``recipe``: how to get such a file, for the message. Raises IncompatibleCheckpoint for a file that is missing,
    damaged, of another kind, or would run code.
    """
    if not path.is_file():
        raise IncompatibleCheckpoint(f"{path}: no such file; {recipe}")
    if path.suffix == ".safetensors":
        return files.read_weights(path).tensors
    if path.suffix not in PICKLED:
        raise IncompatibleCheckpoint(f"{path}: weights are read from .safetensors, .pth or .pt; {recipe}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise IncompatibleCheckpoint(
            f"{path}: not a file of tensors alone ({type(error).__name__}), and nothing else is unpickled, since it "
            f"could run code; {recipe}"
        ) from error
    if not isinstance(found, Mapping):
        raise IncompatibleCheckpoint(f"{path}: holds a {type(found).__name__}, not weights by name; {recipe}")
    return found


def pick_tensors(
    found: Mapping[str, object], shapes: Mapping[str, torch.Size], path: Path, recipe: str
) -> dict[str, Tensor]:
    """The tensors of these names and shapes; others in the file are left. Raises IncompatibleCheckpoint without one."""
    picked: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        given = found.get(name)
        if not isinstance(given, Tensor):
            raise IncompatibleCheckpoint(f"{path}: has no weights '{name}': they are of another network; {recipe}")
        if given.shape != shape:
            raise IncompatibleCheckpoint(
                f"{path}: '{name}' is of shape {tuple(given.shape)}, not {tuple(shape)}: they are of another network; "
                f"{recipe}"
            )
        if not given.is_floating_point():
            raise IncompatibleCheckpoint(f"{path}: '{name}' is {given.dtype}, not floating point: quantised; {recipe}")
        picked[name] = given
    return picked


def load_state_dict(network: nn.Module, path: Path, recipe: str) -> None:
    """Reads a file and puts the weights that ``network`` has by name into it, as float32.

    Raises IncompatibleCheckpoint as ``read`` does, when one is absent or of another shape, and for NaN or infinity.
    """
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    files.load_weights(
        network, pick_tensors(read_state_dict(path, recipe), shapes, path, recipe), str(path), "the network"
    )
