"""A training run from start to finish, whatever is trained: processes, resumption, log, model, a polite end."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor

import lowdose
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.io.atomic import output_errors
from lowdose.methods.base import Method
from lowdose.training.graceful_stop import GracefulStop
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.trainer import STATE_FILE, Trainer, TrainerHooks

MODEL_FILE = "model.safetensors"
PRECISIONS = ("auto", "32-true", "bf16-mixed")
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run computes; none of it changes what is learned, except precision by rounding.

    devices: processes on each of so many ``nodes``, one GPU or CPU share each; where torchrun has started the
    processes, it is what says how many there are. precision: '32-true', 'bf16-mixed' or 'auto'.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"
    resume: bool = False


class TrainingStage(NamedTuple):
    """What a run needs once its data are there.

    batches(first, last): one batch for each of these steps. validate(): numbers to log. export(path, step): write the
    model as it is now.
    """

    batches: Callable[[int, int], Iterator[tuple[Tensor, ...]]]
    validate: Callable[[], Mapping[str, float]]
    export: Callable[[Path, int], None]


class TrainingJob(Protocol):
    """What is trained. settings: a run resumes with the same ones only. description: what run.json says besides."""

    @property
    def method(self) -> Method[Any]: ...

    @property
    def settings(self) -> Mapping[str, object]: ...

    @property
    def description(self) -> Mapping[str, object]: ...

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Finds or makes the data; called by every process at the same time, of which only the first can ``say``."""
        ...


def run_training(
    make: Callable[[], TrainingJob],
    hyperparameters: Hyperparameters,
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Callable[[int, float, float], None],
) -> bool:
    """Train what ``make`` makes in the folder ``run``; True when complete, False when stopped by a signal.

    Raises OutputRefused when the folder already holds a run and ``resume`` is off; InvalidSetting when it is on and
    there is nothing to resume, or other numbers.
    """
    if (run / STATE_FILE).exists() and not options.resume:
        raise OutputRefused(f"{run}: holds a run already; continue it with --resume or choose another folder")
    fabric = _launch(options)
    seed_everything(hyperparameters.seed, verbose=False)
    job = make()
    trainer = Trainer(fabric, job.method, hyperparameters, run)
    settings = {**job.settings, "processes": fabric.world_size}
    if options.resume:
        trainer.resume(settings)
    elif fabric.is_global_zero:
        _describe(run, settings, job.description)
    stage = job.stage(run, fabric, say if fabric.is_global_zero else _silent)
    with GracefulStop() as stop:
        hooks = TrainerHooks(
            stage.batches,
            stage.validate,
            lambda: stage.export(run / MODEL_FILE, trainer.step),
            progress,
            lambda: stop.asked,
        )
        return trainer.fit(settings, hooks)


def choose_precision(wanted: str, cuda: bool) -> Any:
    """bf16-mixed where the hardware multiplies bf16 natively, otherwise 32-true."""
    if wanted not in PRECISIONS:
        raise InvalidSetting(f"--precision {wanted}: must be one of {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return wanted
    native = torch.cuda.is_bf16_supported() if cuda else _cpu_multiplies_bf16()
    return "bf16-mixed" if native else "32-true"


def loader_workers(cuda: bool) -> int:
    """Processes that prepare batches: a GPU must not wait for them; on a CPU they would only take its cores."""
    return min(8, (os.cpu_count() or 2) - 1) if cuda else 0


def _silent(text: str) -> None:
    """The voice of every process but the first."""


def _launch(options: RunOptions) -> Fabric:
    cuda = choose_device(options.device).type == "cuda"
    for name in ("devices", "nodes"):
        if getattr(options, name) < 1:
            raise InvalidSetting(f"--{name} {getattr(options, name)}: must be at least 1")
    devices, nodes = _started() or (options.devices, options.nodes)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would announce the precision
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=choose_precision(options.precision, cuda),
    )
    fabric.launch()
    return fabric


def _started() -> tuple[int, int] | None:
    """(processes a node, nodes) when this process is one that torchrun has started."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return None
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def _cpu_multiplies_bf16() -> bool:
    """No public call tells; where the private one is gone, float32 is merely slower."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def _describe(run: Path, settings: Mapping[str, object], description: Mapping[str, object]) -> None:
    versions = {"lowdose": lowdose.__version__, "torch": torch.__version__, "numpy": np.__version__}
    content = {"settings": settings, **description, "versions": versions}
    with output_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        (run / "run.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
