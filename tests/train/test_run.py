"""Runs: every recipe trains and saves; a resumed run and two processes equal one uninterrupted process."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bodies import scan
from lowdose import recipes
from lowdose.data.pairs import PairedSlice
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, OutputRefused, TrainingDiverged
from lowdose.language import autoencoder_file
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser
from lowdose.training import denoiser_run, runner
from lowdose.training.graceful_stop import GracefulStop
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.schedule import EMA, learning_rate
from lowdose.training.trainer import STATE_FILE
from lowdose.training.training_log import TrainingLog
from tiny_guided import loaded

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


def items() -> list[PairedSlice]:
    result = []
    for patient in range(3):
        low, full = (volume.hu[0] for volume in scan(patient))
        result.append(PairedSlice(patient, f"{patient}", 3.0, 3.0, lambda low=low, full=full: (low, full)))
    return result


def small(**changes: object) -> DenoiserRecipe:
    recipe = recipes.get_recipe("unet")
    return replace(recipe, network=replace(recipe.network, settings={"width": 4, "levels": 2}),
                   hyperparameters=replace(TINY, **changes))  # fmt: skip


def go(recipe: DenoiserRecipe, folder: Path, options: RunOptions = EXACT) -> bool:
    return denoiser_run.train_denoiser("unet", recipe, items(), folder, options, lambda _: None, lambda *_: None)


DENOISERS = [name for name in recipes.recipe_names() if isinstance(recipes.get_recipe(name), DenoiserRecipe)]


@pytest.mark.parametrize("name", DENOISERS)
def test_every_recipe_trains_saves_loads_and_denoises(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder_file, "load_autoencoder", lambda _: loaded())
    recipe = recipes.get_recipe(name)
    tiny = {
        key: value
        for key, value in asdict(replace(TINY, steps=2)).items()
        if value != getattr(DenoiserHyperparameters(), key)
    }
    recipe = replace(recipe, hyperparameters=replace(recipe.hyperparameters, **tiny))
    if recipe.needs_dose:  # trained in tests/data/test_simulated.py
        with pytest.raises(InvalidSetting, match="--pairing simulated"):
            denoiser_run.train_denoiser(name, recipe, items(), tmp_path / "run", EXACT, lambda _: None, lambda *_: None)
        return
    assert denoiser_run.train_denoiser(name, recipe, items(), tmp_path / "run", EXACT, lambda _: None, lambda *_: None)
    model = checkpoint.load_denoiser(str(tmp_path / "run" / MODEL_FILE))
    hu = torch.from_numpy(items()[0].read()[0])[None, None]
    out = model.denoiser.denoise(hu)
    assert out.shape == hu.shape
    assert out.isfinite().all()
    assert recipe.paper
    assert model.training["recipe"] == name


def test_run_folder_holds_log_validation_and_description(tmp_path: Path) -> None:
    assert go(small(), tmp_path)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert {row["name"] for row in rows} >= {"denoiser/mse", "validation/psnr_soft_tissue", "validation/psnr_gain"}
    described = json.loads((tmp_path / "run.json").read_text())
    assert (described["training"]["patients"], described["validation"]["patients"]) == (2, 1)
    assert list((tmp_path / "tensorboard").iterdir())
    domain = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).domain
    assert domain.pixel_mm == (1.5, 3.0)  # half of the patches are recast to half the side
    assert domain.thickness_mm == (3.0, 3.0)


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert go(small(), tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not go(small(), tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert go(small(), tmp_path / "parts", replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 6
    for key in ("modules", "ema", "optimisers"):
        assert_same(whole[key], parts[key])
    values = [
        [row for row in csv.reader((tmp_path / name / "log.csv").open()) if not is_pace(row[1])]
        for name in ("whole", "parts")
    ]
    assert values[0] == values[1]


def is_pace(name: str) -> bool:
    """Whether a row of the log is about time, which no two runs have in common."""
    return name == "seconds_per_step" or name.startswith("throughput/")


def assert_same(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)  # type: ignore[arg-type]
    elif isinstance(a, dict):
        for key in a:
            assert_same(a[key], b[key])  # type: ignore[index]
    else:
        assert a == b or isinstance(a, list)


class StopAfter:
    """Stands in for the signal handler: asks to stop at a given step."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> "StopAfter":
        return self

    def __enter__(self) -> "StopAfter":
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def asked(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_first_signal_asks_second_kills() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_refuses_to_overwrite_and_to_resume_something_else(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="nothing to resume"):
        go(small(), tmp_path / "none", replace(EXACT, resume=True))
    go(small(steps=2), tmp_path / "run")
    with pytest.raises(OutputRefused, match="--resume"):
        go(small(steps=2), tmp_path / "run")
    with pytest.raises(InvalidSetting, match="seed was 0, now 1"):
        go(small(steps=2, seed=1), tmp_path / "run", replace(EXACT, resume=True))
    (tmp_path / "run" / STATE_FILE).write_bytes(b"broken")
    with pytest.raises(IncompatibleCheckpoint, match="damaged"):
        go(small(steps=2), tmp_path / "run", replace(EXACT, resume=True))


def test_other_data_are_another_run(tmp_path: Path) -> None:
    go(small(steps=2), tmp_path)
    other = items()[:2]
    with pytest.raises(InvalidSetting, match="data was"):
        denoiser_run.train_denoiser(
            "unet", small(steps=2), other, tmp_path, replace(EXACT, resume=True), lambda _: None, lambda *_: None
        )


def test_divergence_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    wild = small(steps=8, checkpoint_every=1, learning_rate=1e12, warmup=0, clip=1e12)
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        go(wild, tmp_path)
    if (tmp_path / STATE_FILE).exists():
        state = torch.load(tmp_path / STATE_FILE, weights_only=True)
        assert all(bool(value.isfinite().all()) for value in state["ema"].values())


def test_a_torn_log_is_mended(tmp_path: Path) -> None:
    go(small(steps=2), tmp_path)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("1,denoi")
    TrainingLog(tmp_path, 2).close()
    rows = list(csv.reader((tmp_path / "log.csv").open()))
    assert all(len(row) == 3 for row in rows)
    assert len(rows) > 2


def test_a_foreign_state_is_refused(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / STATE_FILE)
    with pytest.raises(IncompatibleCheckpoint, match="damaged"):
        go(small(), tmp_path, replace(EXACT, resume=True))


@pytest.mark.parametrize(
    ("options", "hyperparameters"),
    [
        (replace(EXACT, device="tpu"), {}),
        (replace(EXACT, precision="16-mixed"), {}),
        (replace(EXACT, devices=0), {}),
        (EXACT, {"patch": 33}),
        (EXACT, {"validation_patients": 9}),
    ],
)
def test_impossible_options(options: RunOptions, hyperparameters: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting):
        go(small(**hyperparameters), tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


SCRIPT = """
import sys
from pathlib import Path
from dataclasses import replace
sys.path[:0] = sys.argv[2:]
from test_run import EXACT, go, small
go(small(batch=2, steps=4), Path(sys.argv[1]), replace(EXACT, devices=2))
"""


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path: Path) -> None:
    assert go(small(batch=4, steps=4), tmp_path / "one")
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    arguments = [str(tmp_path / "two"), str(Path(__file__).parent), str(Path(__file__).parents[1])]
    result = subprocess.run(
        command + arguments, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr[-2000:]
    one, two = (load_file(tmp_path / name / MODEL_FILE) for name in ("one", "two"))
    start = small().network.build().state_dict()
    for key, value in one.items():
        moved = (value - start[key]).abs().max()
        # A tenth of one step of Adam, which makes much of the rounding of gradients next to zero.
        torch.testing.assert_close(value, two[key], atol=1e-4, rtol=1e-3)
        assert moved > 5e-4


def test_learning_rate_rises_then_follows_half_a_cosine() -> None:
    hyperparameters = DenoiserHyperparameters(steps=110, learning_rate=1.0, final_learning_rate=0.1, warmup=10)
    rates = [learning_rate(hyperparameters, step, step) for step in range(111)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    late = [learning_rate(hyperparameters, 60 + made, made) for made in range(12)]
    assert late[0] == pytest.approx(0.1)
    assert late[3] == pytest.approx(0.4)
    assert late[11] == rates[71]


def test_moving_average_of_a_constant_is_the_constant_and_lags_a_step() -> None:
    network = torch.nn.Linear(2, 2)
    ema = EMA(network, 0.9)
    for step in range(5):
        ema.update(network, 1000 + step)
    torch.testing.assert_close(ema.weights["weight"], network.weight.data)
    old = network.weight.data.clone()
    network.weight.data += 1.0
    ema.update(network, 1000)
    torch.testing.assert_close(ema.weights["weight"], old + 0.1)


def test_numbers_from_text() -> None:
    changed = DenoiserHyperparameters().with_values({"steps": "20", "learning_rate": "1e-5"})
    assert (changed.steps, changed.learning_rate) == (20, 1e-5)
    wrongs = {
        "stepz": "3", "steps": "3.5", "patch": "4", "learning_rate": "nan", "seed": "-1", "clip": "0", "ema": "5",
        "warmup": "-5", "cutoff_low": "0", "gain_low": "2", "batch": "many", "beta1": "1",
    }  # fmt: skip
    for wrong in ({name: text} for name, text in wrongs.items()):
        with pytest.raises(InvalidSetting):
            DenoiserHyperparameters().with_values(wrong)
    with pytest.raises(InvalidSetting, match="red_cnn"):
        recipes.get_recipe("redcnn")


def saved(path: Path, recipe: DenoiserRecipe) -> tuple[Path, dict[str, torch.Tensor]]:
    """Weights of the recipe's network, none of them zero."""
    torch.manual_seed(7)
    denoiser = Denoiser(recipe.network, recipe.scale)
    for parameter in denoiser.network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    checkpoint.save_denoiser(path, denoiser, checkpoint.TrainingDomain(), {})
    return path, denoiser.network.state_dict()


def begin(recipe: DenoiserRecipe, folder: Path, start: Path, options: RunOptions = EXACT) -> bool:
    return denoiser_run.train_denoiser(
        "unet", recipe, items(), folder, options, lambda _: None, lambda *_: None, start=start
    )


def test_goes_on_from_weights_and_says_so(tmp_path: Path) -> None:
    recipe = small(steps=1, learning_rate=1e-12, final_learning_rate=0.0, warmup=0)
    start, given = saved(tmp_path / "begun.safetensors", recipe)
    assert begin(recipe, tmp_path / "run", start)
    sha256 = checkpoint.load_denoiser(str(start)).sha256
    for name, value in load_file(tmp_path / "run" / MODEL_FILE).items():
        torch.testing.assert_close(value, given[name], atol=1e-6, rtol=0)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["settings"]["start"] == sha256
    assert checkpoint.load_denoiser(str(tmp_path / "run" / MODEL_FILE)).training["start"] == sha256
    with pytest.raises(InvalidSetting, match="start was"):
        go(recipe, tmp_path / "run", replace(EXACT, resume=True))
    assert begin(recipe, tmp_path / "run", start, replace(EXACT, resume=True))


def test_weights_of_another_network_or_scale_are_no_start(tmp_path: Path) -> None:
    recipe = small(steps=1)
    other = replace(recipe, network=replace(recipe.network, settings={"width": 8, "levels": 2}))
    shifted = replace(recipe, scale=replace(recipe.scale, zero=5.0))
    for name, wrong in (("other", other), ("shifted", shifted)):
        start, _ = saved(tmp_path / f"{name}.safetensors", wrong)
        with pytest.raises(
            InvalidSetting, match=rf"{name}\.safetensors: holds .*start from weights of the same network"
        ):
            begin(recipe, tmp_path / "run", start)
    with pytest.raises(IncompatibleCheckpoint, match="gone"):
        begin(recipe, tmp_path / "run", tmp_path / "gone.safetensors")
    assert not (tmp_path / "run").exists()
