"""``lowdose train leda`` and ``perceptual`` as a user meets them: choosing network, autoencoder and features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowdose import cli
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec

TINY = ("steps=1", "batch=1", "patch=64", "warmup=1", "validation_patients=0")


def train(*arguments: object, hyperparameters: tuple[str, ...] = TINY) -> int:
    return cli.run(["train", *map(str, arguments), *(text for number in hyperparameters for text in ("--set", number))])


def test_leda_with_a_network_and_an_autoencoder_from_a_file(
    pairs: Path, autoencoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["leda", "--data", pairs, "--network", "red_cnn:channels=4", "--teacher", f"autoencoder:{autoencoder}"]
    assert train(*given, "--out", tmp_path / "run") == 0
    model = checkpoint.load_denoiser(str(tmp_path / "run" / "model.safetensors"))
    assert model.denoiser.spec == NetworkSpec("red_cnn", {"channels": 4})
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["autoencoder"] == str(autoencoder)
    assert described["settings"]["autoencoder"] == model.training["autoencoder"]
    assert str(tmp_path) not in json.dumps(dict(model.training))
    assert train(*given, "--out", tmp_path / "on", "--start", tmp_path / "run" / "model.safetensors") == 0
    capfd.readouterr()
    assert train(*given, "--out", tmp_path / "small", hyperparameters=(*TINY, "patch=63")) == 2
    assert "patch=63: the objective needs at least 64 pixels" in capfd.readouterr().err
    assert not (tmp_path / "small").exists()


def test_perceptual_with_features_by_name(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ["perceptual", "--data", pairs, "--network", "unet:width=4,levels=2"]
    assert train(*given, "--teacher", "features:anatomy-random", "--out", tmp_path / "run") == 0
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["features"] == "anatomy-random"
    assert described["settings"]["features"].startswith("anatomy-random ")
    capfd.readouterr()
    assert train(*given, "--teacher", "features:anatomy", "--out", tmp_path / "run", "--resume") == 2
    assert "features was anatomy-random" in capfd.readouterr().err


def test_impossible_networks_autoencoders_and_features_are_refused(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cases: list[tuple[list[object], str]] = [
        (["unet", "--network", "cpce"], "--network cpce: is not an option of the recipe unet; leave it out"),
        (["anatomy", "--network", "cpce"], "--network cpce: is not an option of the recipe anatomy"),
        (["red_cnn", "--teacher", "autoencoder:x"], "the recipe red_cnn looks with no frozen network; leave it out"),
        (["anatomy", "--teacher", "features:x"], "--teacher features:x: is not an option of the recipe anatomy"),
        (["perceptual", "--teacher", "autoencoder:x"], "no kind 'autoencoder' in the recipe perceptual; there is feat"),
        (["leda_autoencoder", "--teacher", "words:x"], "no kind 'words' in the recipe leda_autoencoder; there is feat"),
        (["leda", "--teacher", "x"], "write KIND:NAME; there is autoencoder:NAME with NAME one of leda"),
        (["leda", "--teacher", "autoencoder:"], "--teacher autoencoder:: write KIND:NAME; there is autoencoder:NAME"),
        (["leda", "--teacher", "autoencoder:x", "--autoencoder", "y"], "autoencoder:x was given too; leave one of"),
        (["leda", "--network", "anatomy"], "no network 'anatomy' to denoise with; there are cpce"),
        (["leda", "--network", "unet:depth=3"], "is no setting of unet"),
        (
            ["leda", "--network", "unet:width=4", "--teacher", "autoencoder:gone", "--set", "patch=64"],
            "no autoencoder 'gone'",
        ),
        (["perceptual", "--teacher", "features:vgg7", "--set", "patch=64"], "features 'vgg7' are not known"),
        (["perceptual", "--teacher", "features:vgg19", "--set", "patch=64"], "no weights for 'vgg19'"),
        (["perceptual", "--teacher", "features:vgg19:gone.pth", "--set", "patch=64"], "gone.pth: no such file"),
        (["leda", "--set", "lambda=1"], "no setting 'lambda'; there are"),
        (["unet", "--set", "leda_weight=1"], "no setting 'leda_weight'"),
    ]
    for arguments, reason in cases:
        data = [] if arguments[0] == "anatomy" else ["--data", pairs]
        assert train(*arguments, *data, "--out", tmp_path / "run", hyperparameters=()) == 2, arguments
        said = capfd.readouterr().err
        assert reason in said, arguments
        assert "Traceback" not in said
        assert not (tmp_path / "run").exists(), arguments
