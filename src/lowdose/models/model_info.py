"""What a weights file of ours says of itself: the same words for denoisers and for what else is shipped."""

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
from lowdose.weights.files import WeightsFile

KINDS = {checkpoint.FORMAT: "denoiser", anatomy.FORMAT: "anatomy", autoencoder_file.FORMAT: "autoencoder"}
TABLE = "embeddings"
NOT_TRAINED = ("running_mean", "running_var", autoencoder_file.WORDS)
"""Tensors that are no parameters: what batch normalisation counted, and the frozen words of an autoencoder."""


@dataclass(frozen=True)
class ModelInfo:
    """kind: of ``KINDS``, or 'vocabulary'. network: its name, or what stands for one; settings: what it was built with.
    parameters: trained numbers, None for a table of words. ranges: what a denoiser was trained on (``TrainingDomain``), else
    empty. scale: HU and network units of a denoiser, else empty. training: as the recipe wrote it. precision: of the
    stored weights. size: of the file in bytes. rest: whatever else the header holds.
    """

    kind: str
    network: str
    settings: Mapping[str, Any]
    parameters: int | None
    ranges: Mapping[str, tuple[float, float] | None]
    scale: Mapping[str, float]
    training: Mapping[str, Any]
    precision: str
    size: int
    sha256: str
    rest: Mapping[str, Any]


def read_model_info(found: WeightsFile, named: str) -> ModelInfo:
    """Raises IncompatibleCheckpoint, saying ``named``, for a file that is none of ours or is badly described."""
    header = {key: _parsed(text) for key, text in found.header.items()}
    stated = header.pop("format", "not stated")
    kind = KINDS.get(str(stated)) or ("vocabulary" if stated == "not stated" and TABLE in found.tensors else "")
    if not kind:
        raise IncompatibleCheckpoint(
            f"{named}: its format is '{stated}', which is none of ours ({', '.join(KINDS)}); "
            "use a model.safetensors that 'lowdose train' wrote"
        )
    try:
        network, settings = _network(kind, header, found)
        return ModelInfo(
            kind=kind,
            network=network,
            settings=settings,
            parameters=None if kind == "vocabulary" else _parameters(found),
            ranges=asdict(TrainingDomain.of(header.pop("domain"))) if kind == "denoiser" else {},
            scale=dict(header.pop("scale")) if kind == "denoiser" else {},
            training=dict(header.pop("training", {})),
            precision=_precision(found),
            size=found.size,
            sha256=found.sha256,
            rest=header,
        )
    except Exception as error:  # a damaged description can be wrong in any way
        reason = str(error) or type(error).__name__
        raise IncompatibleCheckpoint(f"{named}: its description is damaged ({reason}); copy it again") from error


def find_card(path: Path) -> Path | None:
    """The model card of a file: of its name with the suffix .md, or card.md in its folder."""
    return next((card for card in (path.with_suffix(".md"), path.with_name("card.md")) if card.is_file()), None)


def _parsed(text: str) -> Any:
    """Structures are stored as JSON; a text that happens to be a number stays one."""
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


def _network(kind: str, header: dict[str, Any], found: WeightsFile) -> tuple[str, dict[str, Any]]:
    """Its name and what it was built with, taken out of the header."""
    if kind == "denoiser":
        network = header.pop("network")
        return str(network["name"]), dict(network["settings"])
    if kind == "autoencoder":
        settings = dict(header.pop("autoencoder"))
        return f"LEDA, {settings.pop('size')}", settings
    if kind == "anatomy":
        return f"U-Net, {len(header['classes'])} classes", {}
    return f"{len(found.tensors[TABLE]):,} words", {}


def _parameters(found: WeightsFile) -> int:
    return sum(
        tensor.numel()
        for name, tensor in found.tensors.items()
        if tensor.is_floating_point() and not name.endswith(NOT_TRAINED)
    )


def _precision(found: WeightsFile) -> str:
    """Counts of batches seen are whole numbers in every file; they say something only where there is nothing else."""
    tensors = found.tensors.values()
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} or {tensor.dtype for tensor in tensors}
    return ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
