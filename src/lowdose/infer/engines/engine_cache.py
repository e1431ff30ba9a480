"""Cache, kept between runs, of what was measured of engines on this machine and of the files that they compile."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
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

EXPIRY_SECONDS = 90 * 24 * 3600
"""Age from which a record counts no longer, and time without use after which its folder is removed."""


def cache_folder() -> Path:
    """Return the folder of the cache; it may be removed at any time and need not be writable."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowdose"
    return Path(chosen) if chosen else default


def weights_fingerprint(network: nn.Module) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def entry_key(**dependencies: object) -> str:
    """Return the key of an entry: the SHA-256 of all that it depends on.

    That is ``dependencies`` (weights, versions and settings, by name), the type and vector instructions of the
    processor, and the number of threads.
    """
    machine = platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return hashlib.sha256(json.dumps([repr(sorted(dependencies.items())), *machine]).encode()).hexdigest()


def entry_folder(key: str) -> Path | None:
    """Return the folder of a key, created if necessary and marked as used; None if it is not writable."""
    path = _path(key)
    with suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
        os.utime(path)
    return path if os.access(path, os.W_OK) else None


def _path(key: str) -> Path:
    return cache_folder() / "engines" / key[:32]


def read_entry(key: str) -> dict[str, Any] | None:
    """Return the record stored under a key; None if there is none, or it is damaged or too old."""
    try:
        entry = json.loads((_path(key) / "measured.json").read_text())
        fresh = isinstance(entry, dict) and abs(time.time() - entry["written"]) < EXPIRY_SECONDS
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return entry if fresh else None


def write_entry(key: str, record: Mapping[str, object]) -> None:
    """Store a record for the next run; one that cannot be written is silently dropped and measured again."""
    folder = entry_folder(key)
    if folder:
        with suppress(OSError, LowDoseError):
            content = json.dumps({"written": time.time(), **record}, indent=2)
            replace_file(folder / "measured.json", content.encode())
            _remove_unused(folder.parent)


def _remove_unused(engines: Path) -> None:
    """Remove the folders that no process has used for so long that their records have expired."""
    for path in engines.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > EXPIRY_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
