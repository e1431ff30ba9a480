"""A noise model and a denoiser in one call: any network, going on in either training, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import lowdose
from lowdose.errors import LowDoseError
from lowdose.models.checkpoint import load_denoiser
from lowdose.training import runner
from support.noisy_series import disc, noisy_slice, save_series, texture
from support.training_runs import StopAfter, assert_same

NOISE = {"noise.steps": 3, "noise.components": 1, "noise.filter_side": 3, "noise.batch": 2, "noise.checkpoint_every": 1}
QUICK: dict[str, Any] = {
    "steps": 3,
    "batch": 1,
    "patch": 32,
    "warmup": 1,
    "validation_patients": 0,
    "checkpoint_every": 1,
}
GRAPH = "gcn:width=4,blocks=1,window=9,neighbours=4,rank=2,slices=1"


@pytest.fixture
def scans(tmp_path: Path) -> dict[str, Any]:
    low = save_series(tmp_path / "low", [noisy_slice(seed) for seed in range(2)])
    normal = save_series(tmp_path / "normal", [disc(level) + 5 * texture(level) for level in (20, 40)])
    return {"data": normal, "low": low, "device": "cpu", "precision": "32-true", "set": NOISE | QUICK}


@pytest.mark.parametrize("network", [GRAPH, "red_cnn:channels=4", "cpce:channels=4,slices=1"])
def test_the_noise_is_learned_and_then_the_denoiser(scans: dict[str, Any], network: str, tmp_path: Path) -> None:
    run = lowdose.train("tddl_gcn", tmp_path / "run", network=network, **scans)
    assert run.complete
    training = load_denoiser(str(run.weights)).training
    assert (training["recipe"], training["pairing"], training["steps"]) == ("tddl_gcn", "learned-noise", 3)
    again = lowdose.train("tddl_gcn", tmp_path / "other", network=network, noise=tmp_path / "run" / "noise",
                          **{**scans, "low": None, "set": QUICK})  # fmt: skip
    assert_same(load_file(again.weights), load_file(run.weights))


@pytest.mark.slow
def test_stopped_in_either_training_it_goes_on_to_the_same_weights(
    scans: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**scans, "pairing": "learned-noise", "set": {**scans["set"], "steps": 6}}
    whole = lowdose.train("unet", tmp_path / "whole", **options)
    folder = tmp_path / "parts"
    for stop, resume, made in ((2, False, False), (4, True, True)):
        monkeypatch.setattr(runner, "GracefulStop", StopAfter(stop))
        assert not lowdose.train("unet", folder, resume=resume, **options).complete
        assert (folder / "noise" / "state.pt").exists()
        assert (folder / "state.pt").exists() == made
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    parts = lowdose.train("unet", folder, resume=True, **options)
    assert parts.complete
    assert_same(load_file(parts.weights), load_file(whole.weights))
    with pytest.raises(LowDoseError, match="holds a run already"):
        lowdose.train("unet", folder, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pairing": "folders"}, r"--low .*: is for --pairing learned-noise, gaussian-noise, poisson-noise"),
        ({"noise": "NOISE"}, r"--low .*: its noise is learned, so --noise NOISE would be without effect"),
        ({"low": None}, r"--pairing learned-noise: needs a noise model, --noise NOISE, or .* --low LOWDOSE"),
        ({"devices": 2}, r"--low .*: two trainings in one call take one process"),
        ({"data": "nowhere"}, "nowhere"),
        ({"set": {"noise.stepz": 1}}, "no setting 'stepz'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    scans: dict[str, Any], options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    given = {**scans, "set": {}, **options}
    with pytest.raises(LowDoseError, match=words):
        lowdose.train("tddl_gcn", tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_findings_that_cannot_be_read_are_refused_before_the_noise_is_learned(
    scans: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "none.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(LowDoseError, match=r"none\.json: holds no finding"):
        lowdose.train("lidnet", tmp_path / "run", findings=tmp_path / "none.json", **scans, pairing="learned-noise")
    assert not (tmp_path / "run").exists()


def test_low_dose_is_no_option_of_other_recipes(scans: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(LowDoseError, match=r"--low .* is not an option of the recipe anatomy"):
        lowdose.train("anatomy", tmp_path / "run", low=[scans["low"]])
