"""Phases of a training: their schedules, what is trained and logged in each, and stopping in the middle of any."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.phases import Phase
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.phase_plan import PhasePlan
from lowdose.training.schedule import learning_rate
from lowdose.training.trainer import STATE_FILE, Trainer
from support.training_runs import assert_same

ALTERNATING = (
    Phase("first", 2, ("model",)), Phase("second", 3, ("critic",)), Phase("first", 2, ("model",)),
    Phase("both", learning_rate=0.01),
)  # fmt: skip


class Alternation(Method[PairedBatch]):
    """Two numbers that learn the mean of a batch, each in its phases."""

    def __init__(self, phases: Sequence[Phase], wrong: bool = False) -> None:
        super().__init__()
        self.first, self.critic = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        for module in (self.first, self.critic):
            nn.init.zeros_(module.weight)
        self._phases, self._wrong, self.seen = phases, wrong, list[str]()

    @property
    def model(self) -> nn.Module:
        return self.first

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"model": self.first, "critic": self.critic}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        return {"critic": OptimiserSettings("sgd", learning_rate=0.2, betas=(0.5, 0.0), clip=math.inf)}

    def phases(self) -> Sequence[Phase]:
        return self._phases

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        self.seen.append(self.phase)
        names = {"first": ("model",), "second": ("critic",)}.get(self.phase, ("model", "critic"))
        for name in ("critic",) if self._wrong else names:
            weight = self.trained_modules()[name].weight
            yield Update(name, {"error": (weight - batch.low.mean()).square().sum()})


def trainer(run: Path, phases: Sequence[Phase] = ALTERNATING, wrong: bool = False, **changes: object) -> Trainer:
    run.mkdir(exist_ok=True)
    values = {"steps": 11, "warmup": 2, "learning_rate": 0.1, "final_learning_rate": 0.001} | changes
    fabric = Fabric(accelerator="cpu", devices=1)
    return Trainer(fabric, Alternation(phases, wrong), Hyperparameters(**values), run)  # type: ignore[arg-type]


def hooks(stop_after: int = 10**9) -> TrainerHooks:
    done = [0]

    def batches(first: int, last: int) -> Iterator[PairedBatch]:
        for step in range(first, last):
            yield PairedBatch(torch.full((1, 1, 2, 2), float(step + 1)), torch.zeros(1, 1, 2, 2))

    def stopped() -> bool:
        done[0] += 1
        return done[0] >= stop_after

    return TrainerHooks(batches, dict, lambda: None, lambda *_: None, stopped)


def rows(run: Path) -> list[list[str]]:
    found = list(csv.reader((run / "log.csv").open()))[1:]
    return [row for row in found if "/error" in row[1] or row[1] == "phase"]


@pytest.mark.parametrize("stop", range(1, 11))
def test_a_stop_in_any_phase_changes_nothing(tmp_path: Path, stop: int) -> None:
    assert trainer(tmp_path / "whole").fit({}, hooks())
    assert not trainer(tmp_path / "parts").fit({}, hooks(stop))
    resumed = trainer(tmp_path / "parts")
    resumed.resume({})
    assert resumed.fit({}, hooks())
    whole, parts = (torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    for key in ("modules", "ema", "optimisers", "averages"):
        assert_same(whole[key], parts[key])
    for name in ("model", "critic"):
        assert whole["optimisers"][name]["param_groups"] == parts["optimisers"][name]["param_groups"]
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_a_method_knows_its_phase_and_each_is_logged_alone(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    assert made.fit({}, hooks())
    assert made.method.seen == ["first"] * 2 + ["second"] * 3 + ["first"] * 2 + ["both"] * 4
    steps = {row[0]: {name for step, name, _ in rows(tmp_path) if step == row[0]} for row in rows(tmp_path)}
    assert steps == {
        "1": {"model/error", "phase"}, "4": {"critic/error", "phase"}, "6": {"model/error", "phase"},
        "10": {"model/error", "critic/error", "phase"},
    }  # fmt: skip
    assert [float(row[2]) for row in rows(tmp_path) if row[1] == "phase"] == [1, 2, 3, 4]


def test_each_phase_has_a_schedule_of_its_own_length() -> None:
    values = Hyperparameters(steps=11, warmup=0, learning_rate=0.1, final_learning_rate=0.001)
    plan = PhasePlan(Alternation(ALTERNATING), 11)
    assert [plan.number(step) for step in range(11)] == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert [step for step in range(11) if plan.begins(step)] == [2, 5, 7]
    rates = []
    for step in range(11):
        own, within = plan.schedule(step, values)
        rates.append(learning_rate(own, within, 10))
    half = (1 + math.cos(math.pi / 3)) / 2
    assert rates[2:5] == pytest.approx([0.1, 0.001 + 0.099 * half, 0.001 + 0.099 * (1 - half)])
    assert (rates[0], rates[5], rates[7]) == pytest.approx((0.1, 0.1, 0.01))
    alone = PhasePlan(Alternation(()), 11)
    assert alone.schedule(4, values) == (values, 4)
    assert alone.metrics(3) == {}


def test_a_phase_warms_up_again_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    made = trainer(
        tmp_path, (Phase("first", 3, ("model",)), Phase("second", 1, ("critic",)), Phase("first", 2)), steps=7
    )
    assert not made.fit({}, hooks(3))
    weight, state = made.method.first.weight.clone(), dict(made.modules["model"].optimiser.state)
    again = trainer(tmp_path, made.method.phases(), steps=7)
    again.resume({})
    assert not again.fit({}, hooks(1))
    assert torch.equal(again.method.first.weight, weight)  # while the critic learns
    assert state
    assert again.modules["model"].optimiser.state
    assert not again.fit({}, hooks(1))
    assert again.modules["model"].optimiser.param_groups[0]["lr"] == pytest.approx(
        0.05
    )  # the first of two warm-up steps


def test_impossible_phases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidSetting, match=r"steps=7: none is left for the phase both after 2 of first \+ 3 of second"
    ):
        trainer(tmp_path, steps=7)
    with pytest.raises(ValueError, match="phase 'one' names other, which is not trained"):
        trainer(tmp_path, (Phase("one", 1, ("other",)),))
    with pytest.raises(ValueError, match="critic is updated in the phase 'first', which does not name it"):
        trainer(tmp_path, wrong=True).fit({}, hooks())
    for wrong in ({"steps": -1}, {"learning_rate": 0.0}):
        with pytest.raises(InvalidSetting, match="phase 'one'"):
            Phase("one", **wrong)  # type: ignore[arg-type]
