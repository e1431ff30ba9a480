"""Cache of embedded prompts on disk, which are computed once for each model, vocabulary and prompt."""

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
    """Return the user's cache folder, in XDG_CACHE_HOME where it is set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowdose"


def cached_embeddings(
    folder: Path, key: Sequence[str], shape: tuple[int, int], compute: Callable[[], Tensor]
) -> Tensor:
    """Return the (V, C) float32 table that ``folder`` holds for ``key``, or compute it and save it there.

    The file is written as a whole or not at all, and holds a hash of its values: a table that is damaged, or not of
    ``shape``, is computed again. A folder that cannot be written gives a warning, and the table is computed again the
    next time.
    """
    path = folder / f"texts-{hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:32]}.safetensors"
    cached = _read(path, shape)
    if cached is not None:
        return cached
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
        weights_file = files.read_weights(path)
    except IncompatibleCheckpoint:
        return None
    table = weights_file.tensors.get(_TENSOR)
    if table is None or tuple(table.shape) != shape or weights_file.header.get("sha256") != _hash(table):
        return None
    return table


def _hash(table: Tensor) -> str:
    return hashlib.sha256(table.numpy().tobytes()).hexdigest()
