"""Full state of a training run on disk, so that a resumed run equals one that was never interrupted."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lowdose.deprecations import HYPERPARAMETERS
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.io.atomic_replace import replace_file
from lowdose.phantom.lesion_kinds import LARGEST_MM, SMALLEST_MM
from lowdose.training.schedule import EMA

ADDED_SETTINGS = {
    "accumulate": 1,
    "local_means_px": -1.0,
    "lesion_share": 0.0,
    "lesion_smallest_mm": SMALLEST_MM,
    "lesion_largest_mm": LARGEST_MM,
    "lesion_weight": 0.0,
    "spectrum_weight": 0.0,
    "spectrum_level": 1.0,
    "count_floor": 0.0,
}
"""Settings that runs of earlier versions lack, with the value under which a run is what it was without them."""

CODE = ("recipe_file", "network_file")
"""Settings with the hash of the user's own code; a run of an earlier version did not state any."""


@dataclass(frozen=True)
class RunState:
    """What changes in training, by name.

    Attributes
    ----------
    modules : mapping of str to nn.Module
        Modules that are trained or hold statistics.
    optimisers : mapping of str to Optimizer
        Optimiser of each trained module.
    ema : EMA
        Moving average of the model.
    averages : mapping of str to EMA
        Moving averages of other trained modules.
    buffers : mapping of str to Tensor
        The method's own.
    losses : dict of str to Tensor
        Losses since the last row of the log.
    """

    modules: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    ema: EMA
    averages: Mapping[str, EMA]
    buffers: Mapping[str, Tensor]
    losses: dict[str, Tensor]


def save_state(path: Path, step: int, parts: RunState, run: object) -> None:
    """Write the state of a run atomically: a run that is stopped while saving keeps the previous state.

    run: the settings of the run, which a resumed run must share.
    """
    rng = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in parts.modules.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in parts.optimisers.items()},
        "ema": parts.ema.weights,
        "averages": {name: average.weights for name, average in parts.averages.items()},
        "buffers": dict(parts.buffers),
        "losses": parts.losses,
        "rng": rng,
        "run": run,
    }
    data = io.BytesIO()
    torch.save(state, data)
    replace_file(path, data.getvalue())


def load_state(path: Path, parts: RunState, run: Mapping[str, object]) -> int:
    """Restore the state of a run, including random number generators; return the number of steps done.

    Raises InvalidSetting when there is no state or when the run was started with other settings, which are named, and
    IncompatibleCheckpoint when the file is damaged.
    """
    state = _read(path)
    saved_settings = {HYPERPARAMETERS.get(name, name): value for name, value in state["run"].items()}
    unstated = {name: run[name] for name in CODE if name in run}
    old = {**{name: value for name, value in ADDED_SETTINGS.items() if name in run}, **unstated, **saved_settings}
    if old != run:
        names = [
            f"{key} was {old.get(key)}, now {run.get(key)}" for key in {**run, **old} if old.get(key) != run.get(key)
        ]
        raise InvalidSetting(f"{path.parent}: cannot resume with other settings ({'; '.join(names)}); start a new run")
    for name, module in parts.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimiser in parts.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    _copy_into(parts.ema.weights, state["ema"])
    for name, average in parts.averages.items():
        _copy_into(average.weights, state["averages"][name])
    _copy_into(parts.buffers, state.get("buffers", {}))  # states of earlier versions have none
    parts.losses.update(state.get("losses", {}))
    torch.set_rng_state(state["rng"]["cpu"])
    if torch.cuda.is_available() and state["rng"]["cuda"]:
        torch.cuda.set_rng_state_all(state["rng"]["cuda"])
    return int(state["step"])


def _copy_into(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        tensors[name].copy_(value)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InvalidSetting(f"{path.parent}: nothing to resume here (no {path.name}); leave out --resume to start")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"step", "modules", "optimisers", "ema", "rng", "run"} - set(state)
        if missing:
            raise KeyError(*missing)
    except Exception as error:  # a damaged file can raise any exception
        raise IncompatibleCheckpoint(f"{path}: damaged training state; start the run again in a new folder") from error
    return state
