"""Measure what a training step of every row costs, and how many of them 1,440 seconds of processor time give.

    python -m experiments.leaderboard.step_cost [JOB ...]

Steps run on one thread, as in the furnace, on noise instead of patches. Prints the median over groups of four steps,
since of some methods only every fourth step has all turns, and the memory that the steps added at their peak.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from experiments.furnace.jobs import Job, load_jobs
from experiments.leaderboard.row import JOBS
from lowdose import recipes
from lowdose.batch import PairedBatch
from lowdose.networks.denoiser import Denoiser
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.hooks import TrainerHooks
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.trainer import Trainer

BUDGET_S = 1440.0
WARM, GROUPS, GROUP = 2, 3, 4
"""Steps before the measurement, and groups of steps of which each gives a time."""


class StepCost(NamedTuple):
    """Processor time of a step in seconds, and what a training's peak memory lies above that of the built networks."""

    seconds: float
    mebibytes: float


def step_cost(job: Job, precision: str) -> StepCost:
    """Return what a step costs; peak memory is that of the process, so every job needs one of its own."""
    torch.set_num_threads(1)
    recipe, chosen = recipes.get_recipe(job.recipe), parse_denoiser(job.network)
    assert isinstance(recipe, DenoiserRecipe)
    h = recipe.hyperparameters.with_values({name: str(value) for name, value in job.set.items()})
    h = replace(h, steps=WARM + GROUPS * GROUP, checkpoint_every=10**9, validate_every=10**9)
    recipe = replace(recipe, network=chosen.network)
    denoiser = Denoiser(chosen.network, chosen.scale, recipe.context)
    method = recipe.method(denoiser, h, recipe.teachers)
    marks: list[float] = []
    before = _peak_mebibytes()

    def batches(first: int, last: int) -> Iterator[PairedBatch]:
        low, full = (100 * torch.randn(h.batch, slices, h.patch, h.patch) for slices in (2 * denoiser.context + 1, 1))
        for step in range(first, last):
            marks.append(time.process_time())
            yield PairedBatch(low, full, number=torch.arange(h.batch) + step * h.batch)

    hooks = TrainerHooks(batches, dict, lambda: None, lambda *_: None, lambda: False)
    with TemporaryDirectory() as folder:
        Trainer(Fabric(accelerator="cpu", devices=1, precision=precision), method, h, Path(folder)).fit({}, hooks)  # type: ignore[arg-type]
    marks.append(time.process_time())
    groups = np.diff(marks[WARM::GROUP][: GROUPS + 1]) / GROUP
    return StepCost(float(np.median(groups)), _peak_mebibytes() - before)


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure all jobs and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*")
    parser.add_argument("--precision", default="bf16-mixed")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for job in load_jobs(JOBS):
            if not arguments.jobs or job.name in arguments.jobs:
                cost = pool.submit(step_cost, job, arguments.precision).result()
                steps, memory = BUDGET_S / cost.seconds, f"{cost.mebibytes:.0f} MiB"
                print(f"{job.name}: {cost.seconds:.2f} s a step, {steps:.0f} steps, {memory}", flush=True)


if __name__ == "__main__":
    main()
