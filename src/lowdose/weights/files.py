"""Weights on disk: safetensors files with a text header. No other format is loaded, because a pickle can run code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights import user_models
from lowdose.weights.identity import shipped_weights

REINSTALL = "the shipped weights are damaged, reinstall"
"""Advice when a shipped file does not have its checksum."""


class WeightsFile(NamedTuple):
    """Content of a weights file.

    Attributes
    ----------
    header : dict of str to str
        Text metadata of the file.
    tensors : dict of str to Tensor
        Weights by name.
    sha256 : str
        Checksum of the file, hexadecimal.
    size : int, bytes
        Size of the file.
    """

    header: dict[str, str]
    tensors: dict[str, Tensor]
    sha256: str
    size: int


def read_weights(path: Path, expected: str | None = None, remedy: str = REINSTALL) -> WeightsFile:
    """Read a whole weights file.

    ``expected`` is the SHA-256 that the file must have, ``remedy`` the advice given when it has another. Raises
    IncompatibleCheckpoint when the file is of another kind, cannot be read, or does not have the expected checksum.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        raise IncompatibleCheckpoint(
            f"{path}: only .safetensors files are loaded, since a pickled checkpoint can run code; "
            "'lowdose train' writes model.safetensors into its run folder"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IncompatibleCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    sha256, size = hashlib.sha256(content).hexdigest(), len(content)
    del content
    if expected is not None and sha256 != expected:
        raise IncompatibleCheckpoint(f"{path}: SHA-256 is {sha256[:16]}..., not {expected[:16]}...: {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise IncompatibleCheckpoint(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    return WeightsFile(header, tensors, sha256, size)


def read_shipped(name: str) -> WeightsFile:
    """Read a weights file of the package by name and verify its SHA-256.

    Raises IncompatibleCheckpoint when there is no such file or it is damaged.
    """
    known = shipped_weights()
    if name not in known:
        raise IncompatibleCheckpoint(f"no '{name}' among the shipped files ({', '.join(sorted(known)) or 'none'})")
    with resources.as_file(resources.files("lowdose.zoo").joinpath(f"{name}.safetensors")) as path:
        return read_weights(path, known[name])


def shipped_card(name: str) -> str:
    """Return the model card of a weights file of the package, as Markdown."""
    return resources.files("lowdose.zoo").joinpath(f"{name}.md").read_text(encoding="utf-8")


def read_added(name: str) -> WeightsFile:
    """Read a weights file that the user added, by name, and verify its SHA-256.

    Raises IncompatibleCheckpoint when there is no such model, or when its file is gone or damaged.
    """
    known, path = user_models.user_model_hashes(), user_models.weights_path(name)
    advice = f"'lowdose models remove {name}', then add it anew"
    if name not in known:
        raise IncompatibleCheckpoint(f"no '{name}' among the added models ({', '.join(sorted(known)) or 'none'})")
    if not path.exists():
        raise IncompatibleCheckpoint(f"{path}: the file of the added model '{name}' is gone: {advice}")
    return read_weights(path, known[name], f"the added model is damaged or was replaced: {advice}")


def serialise_weights(
    network: nn.Module,
    header: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
    extra: Mapping[str, Tensor] | None = None,
) -> bytes:
    """Return the content of a weights file for a network.

    ``dtype`` float16 halves the size; loaded weights are float32 again either way. ``extra`` are further tensors,
    stored unchanged under names that no weight has.
    """
    state = network.state_dict().items()
    # Integer buffers, such as batch counters, are not converted.
    tensors = {name: value.detach().cpu() for name, value in state}
    stored = {name: (value.to(dtype) if value.is_floating_point() else value) for name, value in tensors.items()}
    stored |= {name: value.detach().cpu() for name, value in (extra or {}).items()}
    return bytes(safetensors_bytes({name: value.contiguous() for name, value in stored.items()}, dict(header)))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: str, what: str) -> None:
    """Load tensors into a network, converted to the types of its parameters (float32).

    ``path`` and ``what`` name the file and the network in messages. Raises IncompatibleCheckpoint when names or shapes
    do not fit, or when a weight is NaN or infinite.
    """
    expected = network.state_dict()
    if {name: v.shape for name, v in expected.items()} != {name: v.shape for name, v in tensors.items()}:
        raise IncompatibleCheckpoint(f"{path}: the weights do not fit {what} the file names")
    broken = [name for name, value in tensors.items() if not bool(value.float().isfinite().all())]
    if broken:
        raise IncompatibleCheckpoint(f"{path}: weights '{broken[0]}' hold NaN or infinity: that training failed")
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in tensors.items()}, assign=True)
