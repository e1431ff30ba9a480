"""What was measured of engines on this machine, and what they compiled, kept between runs."""

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
"""Environment variable that names another folder than ~/.cache/lowdose."""


def cache_folder() -> Path:
    """Where everything is kept; it may be removed at any time, and need not be writable."""
    named = os.environ.get(FOLDER_VARIABLE)
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowdose"
    return Path(named) if named else usual


def network_fingerprint(network: nn.Module, **facts: object) -> str:
    """Hash of a network's weights and of what else decides: facts, processor, number of threads."""
    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(f"{name} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    machine = platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    found.update(json.dumps([repr(sorted(facts.items())), *machine]).encode())
    return found.hexdigest()


def entry_folder(key: str) -> Path | None:
    """A folder of this key, made if need be; None where nothing can be written."""
    path = cache_folder() / "engines" / key[:32]
    with suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
    return path if os.access(path, os.W_OK) else None


def read_entry(key: str) -> dict[str, Any] | None:
    """What was noted under a key; None for nothing, or for what is damaged."""
    place = entry_folder(key)
    try:
        found = json.loads((place / "measured.json").read_text()) if place else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_entry(key: str, noted: Mapping[str, object]) -> None:
    """Notes it for the next run; one that cannot be written is measured again."""
    place = entry_folder(key)
    if place:
        with suppress(OSError, LowDoseError):
            replace_file(place / "measured.json", json.dumps(noted, indent=2).encode())
