"""Methods that say how each of their modules is optimised, and that keep something of their own."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.training import trainer as trainer_module
from lowdose.training.hooks import TrainerHooks
from lowdose.training.hyperparameters import Hyperparameters
from lowdose.training.trainer import STATE_FILE, Trainer
from support.training_runs import assert_same

SETTINGS = {
    "critic": OptimiserSettings("sgd", learning_rate=0.5, betas=(0.9, 0.0), weight_decay=0.0, clip=math.inf, ema=0.5),
    "model": OptimiserSettings("adam", betas=(0.5, 0.9), ema=0.0),
}


class TwoPlayers(Method[PairedBatch]):
    """Two numbers; the critic learns the mean of every batch, in two turns, the model that of every third batch."""

    turn: Tensor
    scratch: Tensor

    def __init__(self, settings: Mapping[str, OptimiserSettings]) -> None:
        super().__init__()
        self.first, self.critic = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        for module in (self.first, self.critic):
            nn.init.zeros_(module.weight)
        self.register_buffer("turn", torch.tensor(0))
        self.register_buffer("scratch", torch.tensor(0), persistent=False)
        self._settings = settings

    @property
    def model(self) -> nn.Module:
        return self.first

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"model": nn.Sequential(self.first), "critic": self.critic}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        return self._settings

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        self.turn += 1
        for _ in range(2):
            yield Update("critic", {"error": 0.5 * (self.critic.weight - batch.low.mean()).square().sum()})
        if int(self.turn) % 3 == 0:
            yield Update("model", {"error": (self.first.weight - batch.low.mean()).square().sum()})


def trainer(run: Path, settings: Mapping[str, OptimiserSettings] = SETTINGS, **changes: object) -> Trainer:
    run.mkdir(exist_ok=True)
    values = {"steps": 8, "warmup": 0, "learning_rate": 0.1, "final_learning_rate": 0.1, "weight_decay": 0.0} | changes
    fabric = Fabric(accelerator="cpu", devices=1)
    return Trainer(fabric, TwoPlayers(settings), Hyperparameters(**values), run)  # type: ignore[arg-type]


def hooks(stop_after: int = 10**9) -> TrainerHooks:
    """Batches of the step's number plus 1, until the run is asked to stop."""
    done = [0]

    def batches(first: int, last: int) -> Iterator[PairedBatch]:
        for step in range(first, last):
            yield PairedBatch(torch.full((1, 1, 2, 2), float(step + 1)), torch.zeros(1, 1, 2, 2))

    def stopped() -> bool:
        done[0] += 1
        return done[0] >= stop_after

    return TrainerHooks(batches, dict, lambda: None, lambda *_: None, stopped)


def state(run: Path) -> dict[str, object]:
    found: dict[str, object] = torch.load(run / STATE_FILE, weights_only=True)
    return found


def logged(run: Path) -> list[list[str]]:
    rows = list(csv.reader((run / "log.csv").open()))
    return [row for row in rows if "/error" in row[1]]


def test_modules_that_are_left_out_follow_the_hyperparameters(tmp_path: Path) -> None:
    made = trainer(tmp_path, {}, beta1=0.7, weight_decay=0.25)
    for module in made.modules.values():
        group = module.optimiser.param_groups[0]
        assert type(module.optimiser) is AdamW
        assert (group["betas"], group["weight_decay"], module.average) == ((0.7, 0.99), 0.25, None)
    assert made.ema.decay == 0.999


def test_each_module_has_its_own_rule(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    critic, model = (made.modules[name].optimiser for name in ("critic", "model"))
    assert (type(critic), type(model)) == (SGD, Adam)
    assert critic.param_groups[0]["momentum"] == 0.9
    assert model.param_groups[0]["betas"] == (0.5, 0.9)
    assert made.ema.decay == 0.0  # that of the module that holds the model
    with pytest.raises(ValueError, match=r"TwoPlayers.optimisers\(\) names other"):
        trainer(tmp_path, {"other": OptimiserSettings()})


def test_plain_gradient_descent_with_rate_clip_and_warm_up(tmp_path: Path) -> None:
    rule = OptimiserSettings("sgd", learning_rate=0.5, betas=(0.0, 0.0), clip=math.inf)
    for clip, expected in ((math.inf, 0.5 + 0.5 * 0.5), (0.1, 0.05 + 0.05)):
        made = trainer(tmp_path / str(clip), {"critic": replace(rule, clip=clip)}, steps=1)
        made.fit({}, hooks())
        # Two turns on the batch of 1: w <- w - 0.5 (w - 1), the gradient limited to 0.1 in the second case.
        assert made.method.critic.weight.item() == pytest.approx(expected, abs=1e-6)
    warmed = trainer(tmp_path / "warm", {"critic": rule}, steps=3, warmup=4)
    warmed.fit({}, hooks(stop_after=1))
    # Rates of the first two updates: 1/4 and 2/4 of the largest.
    assert warmed.method.critic.weight.item() == pytest.approx(0.125 + 0.25 * 0.875, abs=1e-6)


def test_a_logged_step_has_the_losses_of_all_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "LOG_EVERY", 4)
    made = trainer(tmp_path, {"critic": OptimiserSettings("sgd", learning_rate=0.5, betas=(0, 0), clip=math.inf)})
    assert made.fit({}, hooks())
    rows = {(row[0], row[1]): float(row[2]) for row in logged(tmp_path)}
    assert set(rows) == {(step, f"{name}/error") for step in ("3", "7") for name in ("critic", "model")}
    # The two turns of a step: an error of e and of e / 2, of which the squares are halved.
    weight = 0.0
    for number in range(1, 5):
        error = weight - number
        weight = number + error / 4
    assert rows["3", "critic/error"] == pytest.approx((error**2 / 2 + error**2 / 8) / 2, rel=1e-5)


@pytest.mark.parametrize("stop", [1, 2, 4, 7])
def test_resumed_equals_uninterrupted(tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "LOG_EVERY", 4)
    assert trainer(tmp_path / "whole").fit({}, hooks())
    assert not trainer(tmp_path / "parts").fit({}, hooks(stop))
    resumed = trainer(tmp_path / "parts")
    resumed.resume({})
    assert int(resumed.method.turn) == resumed.step == stop  # type: ignore[arg-type]
    assert resumed.fit({}, hooks())
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert set(whole["buffers"]) == {"turn"}  # type: ignore[call-overload]
    for key in ("modules", "ema", "averages", "buffers", "optimisers"):
        assert_same(whole[key], parts[key])
        assert_same(parts[key], whole[key])
    for name in ("model", "critic"):
        one, other = (s["optimisers"][name] for s in (whole, parts))  # type: ignore[index]
        assert one["param_groups"] == other["param_groups"]
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")


def test_averaged_modules_are_validated_and_exported_with_their_average(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=6)
    seen: list[float] = []
    assert made.fit({}, replace(hooks(), export=lambda: seen.append(made.method.critic.weight.item())))
    average = made.modules["critic"].average
    assert average is not None
    assert seen == [float(average.weights["weight"])]
    assert made.method.critic.weight.item() != seen[0]  # what is trained was put back


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule": "lion"}, "optimiser 'lion': must be one of adamw, adam, sgd"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"clip": math.nan}, "clip=nan: must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0: must be a number from 0"),
        ({"betas": (0.5, 1.0)}, "must be from 0 to below 1"),
        ({"ema": 1.0}, "ema=1.0: must be from 0 to below 1"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        OptimiserSettings(**changes)  # type: ignore[arg-type]
    assert reason in str(caught.value)
