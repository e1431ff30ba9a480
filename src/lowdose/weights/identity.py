"""Name and checksum of a model from what is known of its file, without loading it or importing PyTorch."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

from lowdose.weights.user_models import is_valid_name, user_model_hashes

DEFAULT_MODEL = "fast"
"""Shipped denoiser that is used when none is named."""


def shipped_weights(kind: str | None = None) -> dict[str, str]:
    """Return the SHA-256 that each weights file of the package must have, by name; all files, or those of one kind.

    Kinds are "denoiser", "anatomy", "autoencoder" and "vocabulary".
    """
    index = resources.files("lowdose.zoo").joinpath("index.json")
    entries = json.loads(index.read_text()) if index.is_file() else {}
    return {name: entry["sha256"] for name, entry in entries.items() if kind in (None, entry["kind"])}


def model_name(path: Path) -> str:
    """Return the name of a model that is given by its file."""
    # Every run folder holds a model.safetensors, so for that file name the folder names the model.
    return path.resolve().parent.name if path.stem == "model" else path.stem


def identify_denoiser(model: str) -> tuple[str, str] | None:
    """Return name and SHA-256 of a shipped or added denoiser, or of a weights file; None for anything else."""
    if sha256 := shipped_weights("denoiser").get(model):
        return model, sha256
    if is_valid_name(model) and (sha256 := user_model_hashes("denoiser").get(model)):
        return model, sha256
    path = Path(model)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    with path.open("rb") as file:
        return model_name(path), hashlib.file_digest(file, "sha256").hexdigest()
