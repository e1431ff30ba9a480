"""Training run of any job from start to finish: processes, resuming, logging, model export and early stopping."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor

from lowdose.data.batches import B, NumberedItems, batches
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.io.atomic import refuse_existing_folder, remove_unfinished
from lowdose.io.atomic_replace import replace_file
from lowdose.methods.base import Method
from lowdose.training.artefacts import artefact_files, write_artefacts
from lowdose.training.folder_for_all import folder_for_all
from lowdose.training.graceful_stop import GracefulStop
from lowdose.training.hooks import Progress, TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.launch import launch_fabric, torchrun_processes
from lowdose.training.time_limit import TimeLimit
from lowdose.training.trainer import STATE_FILE, Trainer
from lowdose.training.training_log import LOG_FILE
from lowdose.version import __version__

MODEL_FILE, DESCRIPTION_FILE = "model.safetensors", "run.json"
RUN_FILES = (MODEL_FILE, DESCRIPTION_FILE, STATE_FILE, LOG_FILE)
"""Files of a run folder that are replaced as a whole."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run computes; only the precision affects the result, by rounding.

    If torchrun has started the processes, it determines ``devices`` and ``nodes``.

    Attributes
    ----------
    device : str
        'auto', or a device as in ``lowdose.device.choose_device``.
    devices : int
        Processes on each node, each with one GPU or a share of the CPU.
    nodes : int
        Machines.
    precision : str
        '32-true', 'bf16-mixed' or 'auto', see ``choose_precision``.
    resume : bool
        Whether to continue the run that the folder holds.
    minutes : float or None
        Minutes of the whole run, from the start of the preparation on; the number of steps is fitted to them. None =
        as many steps as the hyperparameters say.
    checkpoint_minutes : float or None
        Minutes between further checkpoints, besides those of ``checkpoint_every``; None = no further ones.
    code : mapping of str to str
        Name and hash of each file with code of the user's own, by option. They are among the settings of the run.
    """

    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"
    resume: bool = False
    minutes: float | None = None
    checkpoint_minutes: float | None = None
    code: Mapping[str, str] = field(default_factory=dict)


class TrainingStage(NamedTuple):
    """Callbacks of a job whose data are ready.

    Attributes
    ----------
    batches : Callable[[int, int], Iterator[tuple[Tensor, ...]]]
        (first, last): yields one batch for each of the steps from first to last - 1.
    validate : Callable[[], Mapping[str, float]]
        Returns metrics to log.
    export : Callable[[Path, int, int], None]
        (path, step, steps): writes the model as it is after ``step`` of ``steps`` steps.
    """

    batches: Callable[[int, int], Iterator[tuple[Tensor, ...]]]
    validate: Callable[[], Mapping[str, float]]
    export: Callable[[Path, int, int], None]


class TrainingJob(Protocol):
    """What is trained, and on which data."""

    @property
    def method(self) -> Method[Any]:
        """The training method."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """Settings with which alone the run can be resumed."""
        ...

    @property
    def description(self) -> Mapping[str, object]:
        """Further entries of run.json."""
        ...

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Prepare the data and return the callbacks of the training loop.

        Every process calls this at the same time; the messages of all but the first are discarded.
        """
        ...


def run_training(
    make: Callable[[], TrainingJob],
    hyperparameters: Hyperparameters,
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
) -> bool:
    """Train the job that ``make`` returns, in the folder ``run``; True when complete, False when stopped by a signal.

    say: receives messages. The folder is locked for as long as the run lasts; one that fails before it trains leaves
    nothing in it but a noise bank. Raises OutputRefused when another process trains in the folder, or when it already
    holds a run and ``options.resume`` is off, and InvalidSetting when it is on and there is no run to resume, or one
    with other settings.
    """
    limit = None if options.minutes is None else TimeLimit(options.minutes, time.monotonic())
    refuse_other_run(run, options)
    fabric = _launch(options)
    with folder_for_all(fabric, run, RUN_FILES):
        refuse_other_run(run, options)  # one that has ended since
        complete = _train(make, hyperparameters, run, options, say, progress, fabric, limit)
    _leave_process_group(fabric)
    return complete


def refuse_other_run(run: Path, options: RunOptions) -> None:
    """Raise OutputRefused when a folder cannot hold a run, or holds one already that is not to be continued."""
    if (run / STATE_FILE).exists() and not options.resume:
        raise OutputRefused(f"{run}: holds a run already; continue it with --resume or choose another folder")
    if not run.is_dir():
        refuse_existing_folder(run)


def _train(
    make: Callable[[], TrainingJob],
    hyperparameters: Hyperparameters,
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
    fabric: Fabric,
    limit: TimeLimit | None,
) -> bool:
    """Train in the folder that the run has locked; True when complete."""
    seed_everything(hyperparameters.seed, verbose=False)
    job = make()
    trainer = Trainer(fabric, job.method, hyperparameters, run, options.checkpoint_minutes, limit)
    settings = {**job.settings, **options.code, "processes": fabric.world_size}
    if options.resume:
        trainer.resume(settings)
    stage = job.stage(run, fabric, say if fabric.is_global_zero else _discard)
    if fabric.is_global_zero:
        for file in artefact_files(job.method).values():
            remove_unfinished(run, file)  # of a run that was killed
    if fabric.is_global_zero and not options.resume:
        _write_description(run, settings, job, options.minutes)
    with GracefulStop() as stop:
        hooks = TrainerHooks(
            stage.batches,
            stage.validate,
            lambda: _export(run, job, stage, settings, trainer),
            progress,
            lambda: stop.requested,
            lambda: _write_description(run, settings, job, options.minutes),
        )
        return trainer.fit(settings, hooks)


def _export(
    run: Path, job: TrainingJob, stage: TrainingStage, settings: Mapping[str, object], trainer: Trainer
) -> None:
    """Write the model and the artefacts of the method, as they are now."""
    stage.export(run / MODEL_FILE, trainer.step, trainer.steps)
    training = {**settings, "lowdose": __version__, "step": trainer.step, "steps": trainer.steps}
    write_artefacts(run, job.method, training)


def _leave_process_group(fabric: Fabric) -> None:
    """End the communication of several processes together: one that only exits may abort in a thread of gloo's."""
    if fabric.world_size > 1 and torch.distributed.is_initialized():
        fabric.barrier()
        torch.distributed.destroy_process_group()


def loader_workers(cuda: bool) -> int:
    """Return the number of processes that load batches: several for a GPU, none for a CPU.

    A GPU must not wait for batches; on a CPU, loader processes would only compete for its cores.
    """
    return min(8, (os.cpu_count() or 2) - 1) if cuda else 0


def sharded_batches(data: NumberedItems[Any, B], size: int, fabric: Fabric) -> Callable[[int, int], Iterator[B]]:
    """Return the function (first, last) that yields the batches of this process, of ``size`` items each."""
    workers = loader_workers(fabric.device.type == "cuda")
    return lambda first, last: batches(data, size, first, last, fabric.global_rank, fabric.world_size, workers)


def _discard(text: str) -> None:
    """Discard a message, as every process but the first does."""


def _launch(options: RunOptions) -> Fabric:
    cuda = choose_device(options.device).type == "cuda"
    for name in ("devices", "nodes"):
        if getattr(options, name) < 1:
            raise InvalidSetting(f"--{name} {getattr(options, name)}: must be at least 1")
    if options.checkpoint_minutes is not None and not options.checkpoint_minutes > 0:
        raise InvalidSetting(f"--checkpoint-minutes {options.checkpoint_minutes:g}: must be above 0")
    devices, nodes = torchrun_processes() or (options.devices, options.nodes)
    if options.minutes is not None:
        _check_minutes(options.minutes, options.resume, devices * nodes)
    return launch_fabric(cuda, devices, nodes, options.precision)


def _check_minutes(minutes: float, resume: bool, processes: int) -> None:
    """Raise InvalidSetting for a time limit that is none, or that does not go with the other options."""
    if not minutes > 0:
        raise InvalidSetting(f"--minutes {minutes:g}: must be above 0")
    if resume:
        raise InvalidSetting(
            f"--minutes {minutes:g}: is for a new run; continue one with the number of steps that its run.json "
            "states, --resume --set steps=NUMBER"
        )
    if processes > 1:
        raise InvalidSetting(
            f"--minutes {minutes:g}: is for one process, not {processes}, whose clocks differ; give --set steps=NUMBER"
        )


def _write_description(run: Path, settings: Mapping[str, object], job: TrainingJob, minutes: float | None) -> None:
    """Write run.json; of a run with a time limit it is written again with the number of steps that fits it."""
    versions = {"lowdose": __version__, "torch": torch.__version__, "numpy": np.__version__}
    limit = {} if minutes is None else {"minutes": minutes}
    phases = [asdict(phase) for phase in job.method.phases()]
    parts = {"phases": phases} if phases else {}
    content = {"settings": settings, **limit, **job.description, **parts, "versions": versions}
    replace_file(run / DESCRIPTION_FILE, json.dumps(content, indent=2).encode())
