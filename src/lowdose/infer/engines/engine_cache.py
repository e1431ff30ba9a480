"""Cache, kept between runs, of the engine timings measured on this machine and of the files that engines compile."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowdose.errors import LowDoseError
from lowdose.io.atomic_replace import replace_file

FOLDER_VARIABLE = "LOWDOSE_CACHE"
"""Environment variable that replaces the default folder ~/.cache/lowdose."""


def cache_folder() -> Path:
    """Return the folder of the cache; it may be removed at any time and need not be writable."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowdose"
    return Path(chosen) if chosen else default


def network_fingerprint(network: nn.Module, **dependencies: object) -> str:
    """Return the SHA-256 of a network's weights and of all else that timings and compiled files depend on.

    That is ``dependencies`` (versions and settings, by name), the type and vector instructions of the processor, and
    the number of threads.
    """
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    machine = platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    digest.update(json.dumps([repr(sorted(dependencies.items())), *machine]).encode())
    return digest.hexdigest()


def entry_folder(key: str) -> Path | None:
    """Return the folder of a cache key, created if necessary; None if it is not writable."""
    path = cache_folder() / "engines" / key[:32]
    with suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
    return path if os.access(path, os.W_OK) else None


def read_entry(key: str) -> dict[str, Any] | None:
    """Return the record stored under a key; None if there is none or it is damaged."""
    folder = entry_folder(key)
    try:
        entry = json.loads((folder / "measured.json").read_text()) if folder else None
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) else None


def write_entry(key: str, record: Mapping[str, object]) -> None:
    """Store a record for the next run; one that cannot be written is silently dropped and measured again."""
    folder = entry_folder(key)
    if folder:
        with suppress(OSError, LowDoseError):
            replace_file(folder / "measured.json", json.dumps(record, indent=2).encode())
