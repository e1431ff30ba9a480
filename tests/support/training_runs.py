"""Trainings of a tiny U-Net that take a second, how to interrupt them, and how to compare what they end in."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lowdose import recipes
from lowdose.data.pairs import PairedSlice
from lowdose.data.slice_context import StackPosition
from lowdose.training import denoiser_run
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import RunOptions
from support.scanned_patients import scan

TINY = DenoiserHyperparameters(
    steps=6,
    batch=2,
    patch=32,
    warmup=2,
    validate_every=3,
    checkpoint_every=2,
    validation_patients=1,
    learning_rate=1e-3,
)
EXACT = RunOptions(device="cpu", precision="32-true")


def paired_slices() -> list[PairedSlice]:
    result = []
    for patient in range(3):
        low, full = (volume.hu[0] for volume in scan(patient))
        result.append(PairedSlice(patient, f"{patient}", 3.0, 3.0, lambda low=low, full=full: (low, full)))
    return result


def paired_series(slices: int = 6) -> list[PairedSlice]:
    """Whole series of two patients, cylinders of soft tissue in air with white noise of 8 and of 26 HU."""
    result = []
    for patient in range(2):
        rng, side = np.random.default_rng(patient), np.arange(96) - 47.5
        inside = np.hypot(side[:, None], side) < 40 - 5 * patient
        for place in range(slices):
            full = (np.where(inside, 40, -1000) + rng.normal(0, 8, inside.shape)).astype(np.float32)
            low = full + rng.normal(0, 25, inside.shape).astype(np.float32)
            position = StackPosition(f"{patient}", place)
            read = lambda pair=(low, full): pair  # noqa: E731
            result.append(PairedSlice(patient, f"{patient} {place}", 4.0, 3.0, read, stack_position=position))
    return result


def small_recipe(**changes: object) -> DenoiserRecipe:
    recipe = recipes.get_recipe("unet")
    return replace(recipe, network=replace(recipe.network, settings={"width": 4, "levels": 2}),
                   hyperparameters=replace(TINY, **changes))  # fmt: skip


def train(recipe: DenoiserRecipe, folder: Path, options: RunOptions = EXACT, start: Path | None = None) -> bool:
    return denoiser_run.train_denoiser(
        "unet", recipe, paired_slices(), folder, options, lambda _: None, lambda *_: None, start=start
    )


TWO_PROCESSES = """
import sys
from pathlib import Path
from dataclasses import replace
sys.path.insert(0, {tests!r})
from support.adversarial_runs import small_adversarial
from support.training_runs import EXACT, small_recipe, train
train({recipe}, Path({folder!r}), replace(EXACT, devices=2))
"""


def train_on_two_processes(recipe: str, folder: Path) -> None:
    """Train in ``folder`` what the expression ``recipe`` makes, on two processes of one thread."""
    folder.mkdir()
    script, tests = folder.with_suffix(".py"), str(Path(__file__).parents[1])
    script.write_text(TWO_PROCESSES.format(tests=tests, recipe=recipe, folder=str(folder)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr[-2000:]


class StopAfter:
    """Stands in for the signal handler: asks to stop at a given step."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> StopAfter:
        return self

    def __enter__(self) -> StopAfter:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left <= 0


def assert_same(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)  # type: ignore[arg-type]
    elif isinstance(a, dict):
        for key in a:
            assert_same(a[key], b[key])  # type: ignore[index]
    else:
        assert a == b or isinstance(a, list)
