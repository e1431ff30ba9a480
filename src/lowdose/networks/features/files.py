"""Pretrained weights of other networks, read from a file that the user provides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights import files

PICKLED = (".pth", ".pt")


def read_state_dict(path: Path, recipe: str) -> Mapping[str, object]:
    """Read a state dict from a .safetensors file, or from .pth and .pt files that hold tensors alone.

    recipe: instructions for getting such a file, for error messages. Raises IncompatibleCheckpoint for a file that is
    missing, damaged, of another kind, or would run code.
    """
    if not path.is_file():
        raise IncompatibleCheckpoint(f"{path}: no such file; {recipe}")
    if path.suffix == ".safetensors":
        return files.read_weights(path).tensors
    if path.suffix not in PICKLED:
        raise IncompatibleCheckpoint(f"{path}: weights are read from .safetensors, .pth or .pt; {recipe}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise IncompatibleCheckpoint(
            f"{path}: not a file of tensors alone ({type(error).__name__}), and nothing else is unpickled, since it "
            f"could run code; {recipe}"
        ) from error
    if not isinstance(state, Mapping):
        raise IncompatibleCheckpoint(f"{path}: holds a {type(state).__name__}, not weights by name; {recipe}")
    return state


def pick_tensors(
    found: Mapping[str, object], shapes: Mapping[str, torch.Size], path: Path, recipe: str
) -> dict[str, Tensor]:
    """Pick the tensors with the given names and shapes from a state dict, ignoring all others.

    path, recipe: the file, and instructions for getting it, for error messages. Raises IncompatibleCheckpoint when a
    tensor is absent, of another shape, or not floating point.
    """
    picked: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensor = found.get(name)
        if not isinstance(tensor, Tensor):
            raise IncompatibleCheckpoint(f"{path}: has no weights '{name}': they are of another network; {recipe}")
        if tensor.shape != shape:
            raise IncompatibleCheckpoint(
                f"{path}: '{name}' is of shape {tuple(tensor.shape)}, not {tuple(shape)}: they are of another network; "
                f"{recipe}"
            )
        if not tensor.is_floating_point():
            raise IncompatibleCheckpoint(f"{path}: '{name}' is {tensor.dtype}, not floating point: quantised; {recipe}")
        picked[name] = tensor
    return picked


def load_state_dict(network: nn.Module, path: Path, recipe: str) -> None:
    """Load the weights of ``network`` from a file, by name and as float32.

    Raises IncompatibleCheckpoint as ``read_state_dict`` does, when a weight is absent or of another shape, and for NaN
    or infinity.
    """
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    files.load_weights(
        network, pick_tensors(read_state_dict(path, recipe), shapes, path, recipe), str(path), "the network"
    )
