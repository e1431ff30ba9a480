"""Embedded prompts on disk: computed once for a model, a vocabulary and a prompt."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from lowdose.errors import IncompatibleCheckpoint, OutputRefused
from lowdose.io.atomic_replace import replace_file
from lowdose.weights import files

_TENSOR = "texts"


def default_folder() -> Path:
    """The user's cache folder: XDG_CACHE_HOME where it is set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowdose"


def cached_embeddings(
    folder: Path, key: Sequence[str], shape: tuple[int, int], compute: Callable[[], Tensor]
) -> Tensor:
    """The (V, C) float32 table that ``folder`` holds for ``key``, else what ``compute`` gives, kept there.

    The file appears whole or not at all, and carries a hash of its numbers: one that is damaged, or not of ``shape``,
    is computed anew. Where nothing can be written there is a warning, and it is computed again next time.
    """
    path = folder / f"texts-{hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:32]}.safetensors"
    found = _read(path, shape)
    if found is not None:
        return found
    table = compute().float().contiguous()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, safetensors_bytes({_TENSOR: table}, {"sha256": _hash(table)}))
    except (OSError, OutputRefused) as error:
        warnings.warn(f"the embedded prompts are not kept for the next time: {error}; give another cache", stacklevel=2)
    return table


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    if not path.is_file():
        return None
    try:
        found = files.read_weights(path)
    except IncompatibleCheckpoint:
        return None
    table = found.tensors.get(_TENSOR)
    if table is None or tuple(table.shape) != shape or found.header.get("sha256") != _hash(table):
        return None
    return table


def _hash(table: Tensor) -> str:
    return hashlib.sha256(table.numpy().tobytes()).hexdigest()
