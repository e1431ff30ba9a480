"""Metadata in the header of a weights file, for denoisers and for the other kinds of shipped files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lowdose.errors import IncompatibleCheckpoint
from lowdose.language import autoencoder_file
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.networks import anatomy
from lowdose.networks.denoiser import usual_local_means_px
from lowdose.weights.artefact import FORMAT as ARTEFACT
from lowdose.weights.files import WeightsFile

KINDS = {
    checkpoint.FORMAT: "denoiser",
    anatomy.FORMAT: "anatomy",
    autoencoder_file.FORMAT: "autoencoder",
    ARTEFACT: "artefact",
}
TABLE = "embeddings"
"""Name of the tensor of word embeddings, by which a vocabulary is recognised."""

NOT_TRAINED = ("running_mean", "running_var", autoencoder_file.WORDS)
"""Ends of the names of tensors that are not trained: statistics of batch normalisation, and the frozen words of an
autoencoder.
"""


@dataclass(frozen=True)
class ModelInfo:
    """Description of a weights file, from its header and its tensors.

    Attributes
    ----------
    kind : str
        One of the values of ``KINDS``, or ``"vocabulary"``.
    network : str
        Name of the network, or a description of it.
    settings : mapping of str to object
        Settings that the network was built with.
    parameters : int or None
        Number of trained parameters; None for a vocabulary.
    ranges : mapping of str to (float, float) or None
        ``TrainingDomain`` of a denoiser, else empty.
    scale : mapping of str to float
        ``Scale`` between HU and network units of a denoiser, else empty.
    local_means_px : float or None, pixels
        Standard deviation of the Gaussian whose local means a denoiser keeps, 0 = none; None for other files.
    training : mapping of str to object
        Description of the training, as the recipe wrote it.
    precision : str
        Type of the stored weights, such as ``"float16"``.
    size : int, bytes
        Size of the file.
    sha256 : str
        Checksum of the file, hexadecimal.
    rest : mapping of str to object
        All other entries of the header.
    """

    kind: str
    network: str
    settings: Mapping[str, Any]
    parameters: int | None
    ranges: Mapping[str, tuple[float, float] | None]
    scale: Mapping[str, float]
    local_means_px: float | None
    training: Mapping[str, Any]
    precision: str
    size: int
    sha256: str
    rest: Mapping[str, Any]


def read_model_info(file: WeightsFile, named: str) -> ModelInfo:
    """Read the metadata of a weights file; ``named`` is its name in messages.

    Raises IncompatibleCheckpoint for a file that lowdose did not write or whose header is damaged.
    """
    header = {key: _parsed(text) for key, text in file.header.items()}
    stated = header.pop("format", "not stated")
    kind = KINDS.get(str(stated)) or ("vocabulary" if stated == "not stated" and TABLE in file.tensors else "")
    if not kind:
        raise IncompatibleCheckpoint(
            f"{named}: its format is '{stated}', which is none of ours ({', '.join(KINDS)}); "
            "use a model.safetensors that 'lowdose train' wrote"
        )
    try:
        network, settings = _network(kind, header, file)
        return ModelInfo(
            kind=kind,
            network=network,
            settings=settings,
            parameters=None if kind == "vocabulary" else _parameters(file),
            ranges=asdict(TrainingDomain.of(header.pop("domain"))) if kind == "denoiser" else {},
            scale=dict(header.pop("scale")) if kind == "denoiser" else {},
            local_means_px=_local_means_px(header) if kind == "denoiser" else None,
            training=dict(header.pop("training", {})),
            precision=_precision(file),
            size=file.size,
            sha256=file.sha256,
            rest=header,
        )
    except Exception as error:  # a damaged header can raise anything
        reason = str(error) or type(error).__name__
        raise IncompatibleCheckpoint(f"{named}: its description is damaged ({reason}); copy it again") from error


def find_card(path: Path) -> Path | None:
    """Return the model card beside a file: the same name with the suffix .md, or card.md; None if neither exists."""
    return next((card for card in (path.with_suffix(".md"), path.with_name("card.md")) if card.is_file()), None)


def _parsed(text: str) -> Any:
    """Decode a header entry that holds a JSON object or list; any other text, even a number, stays text."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


def _local_means_px(header: dict[str, Any]) -> float:
    """Return the width of the local means that a denoiser keeps; its entry is removed from the header."""
    usual = usual_local_means_px(header.get("estimates") == checkpoint.NOISE_FREE_IMAGE)
    return float(header.pop(checkpoint.LOCAL_MEANS, usual))


def _network(kind: str, header: dict[str, Any], file: WeightsFile) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings of the network; the entries that hold them are removed from the header."""
    if kind == "denoiser":
        network = header.pop("network")
        return str(network["name"]), dict(network["settings"])
    if kind == "autoencoder":
        settings = dict(header.pop("autoencoder"))
        return f"LEDA, {settings.pop('size')}", settings
    if kind == "artefact":
        return f"{header.pop('artefact')} ({header.pop('module')})", {}
    if kind == "anatomy":
        return f"U-Net, {len(header['classes'])} classes", {}
    return f"{len(file.tensors[TABLE]):,} words", {}


def _parameters(file: WeightsFile) -> int:
    """Count the trained parameters."""
    return sum(
        tensor.numel()
        for name, tensor in file.tensors.items()
        if tensor.is_floating_point() and not name.endswith(NOT_TRAINED)
    )


def _precision(file: WeightsFile) -> str:
    """Return the types of the stored weights, separated by commas.

    Integer tensors, such as the batch counters in every file with batch normalisation, only count if there are no
    others.
    """
    tensors = file.tensors.values()
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} or {tensor.dtype for tensor in tensors}
    return ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
