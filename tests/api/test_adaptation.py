"""A model for one scanner from its low-dose series alone: both trainings, going on, the report, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lowdose
from lowdose.api import adaptation
from lowdose.errors import InvalidSetting, LowDoseError
from lowdose.models.checkpoint import load_denoiser
from support.noisy_series import noisy_slice, save_series


@pytest.fixture
def low(tmp_path: Path) -> Path:
    return save_series(tmp_path / "low", [noisy_slice(seed) for seed in range(3)]) / "full.npz"


@pytest.mark.slow
def test_a_model_learns_the_noise_of_a_series_and_goes_on_where_it_was(
    tmp_path: Path, low: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PATIENTS": 1, "SLICES": 2, "SIZE": 256}.items():
        monkeypatch.setattr(adaptation, name, value)
    normal = save_series(tmp_path / "normal", [noisy_slice(9)])
    start = lowdose.train(
        "unet", tmp_path / "start", data=normal, pairing="gaussian-noise", noise=_tiny_noise(tmp_path, low),
        set={"steps": 1, "batch": 1, "patch": 64, "validation_patients": 0}, device="cpu",
    )  # fmt: skip
    out, options = tmp_path / "adapted", {"model": start.weights, "minutes": 0.05, "device": "cpu"}
    adapted = lowdose.adapt(low, out, **options)
    assert adapted.complete
    (found,) = adapted.report.values()
    assert found["noise_sd"]["input"] > 5
    assert json.loads((out / adaptation.REPORT).read_text()) == adapted.report
    assert len(adapted.lines) == 2
    training = load_denoiser(str(adapted.weights)).training
    assert (training["recipe"], training["pairing"]) == ("unet", "learned-noise")
    weights = adapted.weights.read_bytes()
    again = lowdose.adapt([low], out, **options)
    assert again.complete
    assert again.weights.read_bytes() == weights


def _tiny_noise(tmp_path: Path, low: Path) -> Path:
    run = tmp_path / "tiny-noise"
    lowdose.train("noise_vae", run, data=low, set={"steps": 1, "components": 1, "filter_side": 3}, device="cpu")
    return run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "nlm"}, "--model nlm: is a classical filter"),
        ({"model": "no-such-model"}, "no model 'no-such-model'"),
        ({"minutes": 0}, "--minutes 0: must be above 0"),
        ({"name": "fast"}, "a model that comes with lowdose is called so"),
    ],
)
def test_what_cannot_be_adapted_is_refused_and_leaves_nothing(
    tmp_path: Path, low: Path, options: dict[str, str], words: str
) -> None:
    with pytest.raises(LowDoseError, match=words):
        lowdose.adapt(low, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_model_that_states_no_recipe_is_refused(tmp_path: Path, low: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(adaptation, "load_denoiser", lambda model: replace(load_denoiser(model), training={}))
    with pytest.raises(InvalidSetting, match="states no recipe"):
        lowdose.adapt(low, tmp_path / "out")
