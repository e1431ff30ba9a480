"""Trainings of a tiny U-Net that take a second, how to interrupt them, and how to compare what they end in."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose import recipes
from lowdose.data.pairs import PairedSlice
from lowdose.data.slice_context import StackPosition
from lowdose.training import denoiser_run, runner
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import RunOptions
from lowdose.training.trainer import STATE_FILE

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


PAIRS = "LOWDOSE_TEST_PAIRS"
"""Environment variable with the file of slices for processes that a test starts; scanning them anew takes seconds."""


@cache
def scanned_pairs() -> np.ndarray:
    """(3, 2, y, x) HU, of three patients, at low and at full dose."""
    if PAIRS in os.environ:
        return np.load(os.environ[PAIRS])
    from support.scanned_patients import scan

    return np.stack([[scan(patient).low.hu[0], scan(patient).full.hu[0]] for patient in range(3)])


def paired_slices() -> list[PairedSlice]:
    return [
        PairedSlice(patient, f"{patient}", 3.0, 3.0, lambda low=low, full=full: (low, full))
        for patient, (low, full) in enumerate(scanned_pairs())
    ]


def environment_of_processes(folder: Path) -> dict[str, str]:
    """Return the environment of processes that train on ``paired_slices``, which are written to ``folder``."""
    np.save(folder / "pairs.npy", scanned_pairs())
    return {**os.environ, "OMP_NUM_THREADS": "1", PAIRS: str(folder / "pairs.npy")}


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
from lowdose.training import runner
from support.adversarial_runs import small_adversarial
from support.training_runs import EXACT, small_recipe, train
leave, runner._leave_process_group = runner._leave_process_group, lambda _: None  # for the next run
for name, recipe in {{{recipes}}}.items():
    assert train(recipe, Path({folder!r}) / name, replace(EXACT, devices=2))
"""


def train_on_two_processes(recipes: dict[str, str], folder: Path) -> None:
    """Train what each of ``recipes``, expressions, makes in a folder of its name, on two processes of one thread.

    They are the same two for all, since most of the time goes into starting them.
    """
    script, tests = folder / "train.py", str(Path(__file__).parents[1])
    made = ", ".join(f"{name!r}: {recipe}" for name, recipe in recipes.items())
    script.write_text(TWO_PROCESSES.format(tests=tests, recipes=made, folder=str(folder)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment_of_processes(folder))
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


def modules_of_an_interrupted_run(recipe: DenoiserRecipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Train in one go, and stopped and resumed; assert that both end the same, and return the modules in the state."""
    assert train(recipe, folder / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not train(recipe, folder / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(recipe, folder / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(folder / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    for key in ("modules", "ema", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])
    return set(whole["modules"])


def assert_same(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)  # type: ignore[arg-type]
    elif isinstance(a, dict):
        for key in a:
            assert_same(a[key], b[key])  # type: ignore[index]
    else:
        assert a == b or isinstance(a, list)
