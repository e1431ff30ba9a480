"""Runs that are given minutes: the number of steps fits the pace, and is recorded."""

from __future__ import annotations

import csv
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import lowdose
from lowdose.errors import InvalidSetting
from lowdose.training import runner, time_limit
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.runner import MODEL_FILE
from lowdose.training.schedule import learning_rate
from lowdose.training.time_limit import OPEN_END, Overhead, TimeLimit
from lowdose.training.trainer import STATE_FILE
from support.training_runs import EXACT, small_recipe, train

NOTHING_ELSE = Overhead(0.0, 0.0, 100, 100, math.inf)


class Clock:
    """Stands in for the clock: each look at it takes no time, each step as long as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def fitted(monkeypatch: pytest.MonkeyPatch, minutes: float, step_s: float, overhead: Overhead) -> tuple[int, int]:
    """Return the step after which the number of steps was set, and that number."""
    clock = Clock(monkeypatch)
    limit, step = TimeLimit(minutes, clock.now), 1
    clock.now += 3.0  # the first step waits for what starts
    while not limit.measured(step):
        step += 1
        clock.now += step_s
    return step, limit.fit_steps(step, clock.now, overhead)


def test_steps_fill_the_minutes_at_the_measured_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, steps = fitted(monkeypatch, 10, 0.05, NOTHING_ELSE)
    assert measured == pytest.approx((time_limit.WARM_UP_S + time_limit.MEASURED_S) / 0.05, abs=3)
    assert 3 + steps * 0.05 == pytest.approx(600 * (1 - time_limit.RESERVE), rel=0.01)


def test_little_time_is_measured_for_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, steps = fitted(monkeypatch, 0.5, 0.05, NOTHING_ELSE)
    assert measured * 0.05 < 0.15 * 30
    assert 3 + steps * 0.05 < 30


def test_validation_and_checkpoints_have_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    overhead = Overhead(2.0, 1.0, 200, 500, 60.0)
    _, steps = fitted(monkeypatch, 10, 0.05, overhead)
    spent = 3 + steps * 0.05 + steps / 200 * 2.0 + steps / 500 * 1.0
    spent += spent / 60 * 1.0 + overhead.final_s
    assert spent == pytest.approx(600, rel=0.04)
    assert spent < 600


def test_a_slow_pace_leaves_at_least_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, steps = fitted(monkeypatch, 0.1, 100.0, NOTHING_ELSE)
    assert steps == measured + 1


def test_until_the_pace_is_known_the_learning_rate_is_the_largest() -> None:
    hyperparameters = Hyperparameters(steps=OPEN_END, warmup=10)
    assert learning_rate(hyperparameters, 5000, 5000) == pytest.approx(hyperparameters.learning_rate, rel=1e-9)


def test_a_run_of_some_seconds_ends_in_time_and_states_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[TimeLimit] = []
    monkeypatch.setattr(runner, "TimeLimit", lambda *given: limits.append(TimeLimit(*given)) or limits[-1])
    recipe = small_recipe(steps=10**6, validate_every=10**6, checkpoint_every=10**6)
    assert train(recipe, tmp_path, replace(EXACT, minutes=3 / 60))
    assert -1.5 < time.monotonic() - limits[0].end < 2  # late where the machine is busy with other tests
    described = json.loads((tmp_path / "run.json").read_text())
    steps = described["settings"]["steps"]
    assert described["minutes"] == 3 / 60
    assert 10 < steps < 10**6
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert state["step"] == state["run"]["steps"] == steps
    with safe_open(tmp_path / MODEL_FILE, "pt") as file:
        metadata = file.metadata()
    assert f'"steps": {steps}' in str(metadata)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert int(rows[-1]["step"]) == steps - 1
    with pytest.raises(InvalidSetting, match="--resume --set steps=NUMBER"):
        train(recipe, tmp_path, replace(EXACT, minutes=1.0, resume=True))
    assert train(
        small_recipe(steps=steps, validate_every=10**6, checkpoint_every=10**6), tmp_path, replace(EXACT, resume=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0.0}, "--minutes 0: must be above 0"),
        ({"minutes": float("nan")}, "--minutes nan: must be above 0"),
        ({"minutes": 1.0, "devices": 2}, "for one process, not 2"),
    ],
)
def test_a_time_limit_that_cannot_be_kept_is_refused(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        train(small_recipe(), tmp_path, replace(EXACT, **options))  # type: ignore[arg-type]


def test_steps_and_minutes_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="--set steps=5: --minutes 1 sets the number of steps"):
        lowdose.train("unet", tmp_path / "run", data=tmp_path, set={"steps": 5}, minutes=1.0)
