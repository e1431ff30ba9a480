"""Runs: every recipe trains and saves; a resumed run equals an uninterrupted one."""

import csv
import json
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lowdose import recipes
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, NothingToRead, OutputRefused, TrainingDiverged
from lowdose.io.locked_folder import locked_folder
from lowdose.language import autoencoder_file
from lowdose.models import checkpoint
from lowdose.network_spec import NETWORKS, constructor_defaults
from lowdose.networks.denoiser import Denoiser
from lowdose.training import denoiser_run, runner
from lowdose.training.graceful_stop import GracefulStop
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.schedule import EMA, learning_rate
from lowdose.training.trainer import STATE_FILE
from lowdose.training.training_log import TrainingLog
from support.tiny_word_autoencoder import loaded
from support.training_runs import (
    EXACT,
    TINY,
    StopAfter,
    assert_same,
    paired_series,
    paired_slices,
    small_recipe,
    train,
)

OPPONENTS = {"critic_width": 4, "discriminator_width": 4, "discriminator_levels": 2, "encoder_width": 4}
"""Small sizes of what adversarial recipes train against."""
SMALLEST_PATCH = {"alden": 64, "ascon": 48, "jing": 64, "smgan": 48}
"""Patches of recipes whose losses do not fit into the small ones of the other tests."""
SMALL_NETWORK = {
    **{name: {"width": 4, "levels": 2} for name in ("jing", "noise2sim", "wia_ld2nd")},
    "tddl_gcn": {"blocks": 1, "window": 9, "neighbours": 4, "rank": 2},
}
"""Settings of networks that take long on a whole slice."""
OF_SERIES = ("jing", "noise2sim")
"""Recipes that learn from neighbouring slices."""
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
    tiny |= {key: value for key, value in OPPONENTS.items() if hasattr(recipe.hyperparameters, key)}
    tiny |= {"patch": SMALLEST_PATCH.get(name, tiny["patch"])}
    sizes = {key: 8 for key in constructor_defaults(NETWORKS[recipe.network.name]) if key in ("channels", "width")}
    network = replace(recipe.network, settings={**recipe.network.settings, **sizes, **SMALL_NETWORK.get(name, {})})
    recipe = replace(recipe, network=network, hyperparameters=replace(recipe.hyperparameters, **tiny))
    if recipe.needs_dose:  # trained in tests/data/test_simulated.py
        with pytest.raises(InvalidSetting, match="--pairing simulated"):
            denoiser_run.train_denoiser(
                name, recipe, paired_slices(), tmp_path / "run", EXACT, lambda _: None, lambda *_: None
            )
        return
    items = paired_series() if name in OF_SERIES else paired_slices()
    assert denoiser_run.train_denoiser(name, recipe, items, tmp_path / "run", EXACT, lambda _: None, lambda *_: None)
    model = checkpoint.load_denoiser(str(tmp_path / "run" / MODEL_FILE))
    hu = torch.from_numpy(paired_slices()[0].read()[0])[None, None]
    out = model.denoiser.denoise(hu.expand(1, 2 * model.denoiser.context + 1, -1, -1))
    assert out.shape == hu.shape
    assert out.isfinite().all()
    assert recipe.paper
    assert model.training["recipe"] == name


def test_run_folder_holds_log_validation_and_description(tmp_path: Path) -> None:
    assert train(small_recipe(), tmp_path)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert {row["name"] for row in rows} >= {"denoiser/mse", "validation/psnr_soft_tissue", "validation/psnr_gain"}
    described = json.loads((tmp_path / "run.json").read_text())
    assert (described["training"]["patients"], described["validation"]["patients"]) == (2, 1)
    assert list((tmp_path / "tensorboard").iterdir())
    domain = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).domain
    assert domain.pixel_mm == (1.5, 3.0)  # half of the patches are recast to half the side
    assert domain.thickness_mm == (3.0, 3.0)


@pytest.mark.parametrize(("setting", "stated"), [(-1.0, None), (0.0, 0.0), (3.0, 3.0)])
def test_a_run_says_which_local_means_its_model_keeps(tmp_path: Path, setting: float, stated: float | None) -> None:
    assert train(small_recipe(steps=1, local_means_px=setting), tmp_path)
    denoiser = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE)).denoiser
    assert denoiser.stated_means_px == stated
    assert denoiser.local_means_px == (4.0 if stated is None else stated)
    with pytest.raises(InvalidSetting, match=r"local_means_px=-0\.5"):
        small_recipe(local_means_px=-0.5)


def test_a_run_of_a_version_without_a_setting_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not train(small_recipe(), tmp_path)
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    for name in ("accumulate", "local_means_px"):
        del state["run"][name]
    torch.save(state, tmp_path / STATE_FILE)
    with pytest.raises(InvalidSetting, match=r"local_means_px was -1\.0, now 0\.0"):
        train(small_recipe(local_means_px=0.0), tmp_path, replace(EXACT, resume=True))
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(small_recipe(), tmp_path, replace(EXACT, resume=True))


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(small_recipe(), tmp_path / "whole")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not train(small_recipe(), tmp_path / "parts")
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(small_recipe(), tmp_path / "parts", replace(EXACT, resume=True))
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


def test_first_signal_asks_second_kills() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_refuses_to_overwrite_and_to_resume_something_else(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="nothing to resume"):
        train(small_recipe(), tmp_path / "new" / "none", replace(EXACT, resume=True))
    assert not list(tmp_path.iterdir())
    train(small_recipe(steps=2), tmp_path / "run")
    with pytest.raises(OutputRefused, match="--resume"):
        train(small_recipe(steps=2), tmp_path / "run")
    with pytest.raises(InvalidSetting, match="seed was 0, now 1"):
        train(small_recipe(steps=2, seed=1), tmp_path / "run", replace(EXACT, resume=True))
    (tmp_path / "run" / STATE_FILE).write_bytes(b"broken")
    with pytest.raises(IncompatibleCheckpoint, match="damaged"):
        train(small_recipe(steps=2), tmp_path / "run", replace(EXACT, resume=True))


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_in_one_folder_are_refused_and_the_first_one_is_left_alone(tmp_path: Path, resume: bool) -> None:
    run = tmp_path / "run"
    if resume:
        train(small_recipe(steps=2), run)
    before = {path: path.read_bytes() for path in run.glob("*.*")}
    with (
        locked_folder(run, ()),
        pytest.raises(OutputRefused, match=rf"run: a run on .* .process {os.getpid()}, since .* is writing it"),
    ):
        train(small_recipe(steps=4 if resume else 2), run, replace(EXACT, resume=resume))
    assert {path: path.read_bytes() for path in run.glob("*.*")} == before
    (tmp_path / "run").mkdir(exist_ok=True)
    (run / f".{STATE_FILE}.partial-0a1b").write_bytes(b"half")  # of a run that was killed while it saved
    assert train(small_recipe(steps=2), run, replace(EXACT, resume=resume))
    assert not list(run.glob(".*"))


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_data(*_: object) -> None:
        raise NothingToRead("no patches")

    monkeypatch.setattr(denoiser_run, "measure_training_domain", no_data)
    with pytest.raises(NothingToRead, match="no patches"):
        train(small_recipe(steps=2), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_other_data_are_another_run(tmp_path: Path) -> None:
    train(small_recipe(steps=2), tmp_path)
    other = paired_slices()[:2]
    with pytest.raises(InvalidSetting, match="data was"):
        denoiser_run.train_denoiser(
            "unet", small_recipe(steps=2), other, tmp_path, replace(EXACT, resume=True), lambda _: None, lambda *_: None
        )


def test_divergence_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    wild = small_recipe(steps=8, checkpoint_every=1, learning_rate=1e12, warmup=0, clip=1e12)
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        train(wild, tmp_path)
    if (tmp_path / STATE_FILE).exists():
        state = torch.load(tmp_path / STATE_FILE, weights_only=True)
        assert all(bool(value.isfinite().all()) for value in state["ema"].values())


def test_a_torn_log_is_mended(tmp_path: Path) -> None:
    train(small_recipe(steps=2), tmp_path)
    with (tmp_path / "log.csv").open("a") as file:
        file.write("1,denoi")
    TrainingLog(tmp_path, 2).close()
    rows = list(csv.reader((tmp_path / "log.csv").open()))
    assert all(len(row) == 3 for row in rows)
    assert len(rows) > 2


def test_a_foreign_state_is_refused(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / STATE_FILE)
    with pytest.raises(IncompatibleCheckpoint, match="damaged"):
        train(small_recipe(), tmp_path, replace(EXACT, resume=True))


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
        train(small_recipe(**hyperparameters), tmp_path / "run", options)
    assert not (tmp_path / "run").exists()


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


def test_hyperparameters_from_text() -> None:
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
        "unet", recipe, paired_slices(), folder, options, lambda _: None, lambda *_: None, start=start
    )


def test_goes_on_from_weights_and_says_so(tmp_path: Path) -> None:
    recipe = small_recipe(steps=1, learning_rate=1e-12, final_learning_rate=0.0, warmup=0)
    start, given = saved(tmp_path / "begun.safetensors", recipe)
    assert begin(recipe, tmp_path / "run", start)
    sha256 = checkpoint.load_denoiser(str(start)).sha256
    for name, value in load_file(tmp_path / "run" / MODEL_FILE).items():
        torch.testing.assert_close(value, given[name], atol=1e-6, rtol=0)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["settings"]["start"] == sha256
    assert checkpoint.load_denoiser(str(tmp_path / "run" / MODEL_FILE)).training["start"] == sha256
    with pytest.raises(InvalidSetting, match="start was"):
        train(recipe, tmp_path / "run", replace(EXACT, resume=True))
    assert begin(recipe, tmp_path / "run", start, replace(EXACT, resume=True))


def test_weights_of_another_network_or_scale_are_no_start(tmp_path: Path) -> None:
    recipe = small_recipe(steps=1)
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
