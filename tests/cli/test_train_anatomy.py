"""``lowdose train anatomy`` as a user meets it, and the options of ``train`` that mean nothing together."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lowdose import cli
from lowdose.anatomical_labels import LABELS
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks import anatomy
from lowdose.networks.denoiser import Denoiser
from lowdose.training import runner
from support.toy_patients import SIZE, instead_of_digital_patients

people = pytest.fixture(autouse=True, name="people")(instead_of_digital_patients)
TINY = ("steps=1", "batch=1", "size=64", "patients=1", "validation_patients=0", "real_share=1", "warmup=1")


def train(*arguments: object, hyperparameters: tuple[str, ...] = TINY) -> int:
    return cli.run(["train", *map(str, arguments), *(text for number in hyperparameters for text in ("--set", number))])


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """One scan of two slices with its liver drawn, and one without its CT."""
    grid = np.diag([-0.8, -0.8, 3.0, 1.0])
    image, drawn = np.full((SIZE, SIZE, 2), -1000, np.int16), np.zeros((SIZE, SIZE, 2), np.uint8)
    image[20:-20, 20:-20], drawn[50:90, 50:90] = 40, LABELS["liver"]
    for folder in ("good", "no-ct"):
        (tmp_path / "labelled" / folder).mkdir(parents=True)
        nib.Nifti1Image(drawn, grid).to_filename(tmp_path / "labelled" / folder / "labels.nii.gz")
    nib.Nifti1Image(image, grid).to_filename(tmp_path / "labelled" / "good" / "ct.nii.gz")
    return tmp_path / "labelled"


def test_trains_on_digital_patients_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, bank = tmp_path / "run", tmp_path / "bank"
    assert train("anatomy", "--out", out, "--bank", bank) == 0
    said = capfd.readouterr().err
    for line in ("0 labelled slices of 0 scans, and digital patients", "digital patients: 1/1", "step 1/1"):
        assert line in said
    assert said.rstrip().endswith(str(out / "model.safetensors"))
    assert {path.name for path in bank.iterdir()} == {"00000-hu.npy", "00000-labels.npy"}
    assert anatomy.load_anatomy(out / "model.safetensors")
    assert train("anatomy", "--out", out, "--bank", bank) == 2
    assert "--resume" in capfd.readouterr().err
    assert train("anatomy", "--out", out, "--bank", bank, "--resume") == 0


def test_trains_on_labelled_scans_and_from_weights(
    labelled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "begun.safetensors"
    begun.write_bytes(anatomy.serialise_anatomy(anatomy.Anatomy(), {}))
    assert train("anatomy", "--out", tmp_path / "run", "--data", labelled, "--start", begun) == 0
    said = capfd.readouterr().err
    assert "2 labelled slices of 1 scan, and digital patients" in said
    assert "no-ct: labels without a CT" in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["real"] == {"slices": 2, "patients": 1}


def test_stopped_early_it_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Now:
        requested = True

        def __enter__(self) -> Now:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(runner, "GracefulStop", Now)
    assert train("anatomy", "--out", tmp_path / "run", hyperparameters=(*TINY, "steps=3")) == 130
    assert "continue with --resume" in capfd.readouterr().err


def test_options_without_meaning_for_the_recipe_are_refused(
    labelled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    unet = tmp_path / "unet.safetensors"
    checkpoint.save_denoiser(
        unet, Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale()), TrainingDomain(), {}
    )
    cases: list[tuple[list[object], str]] = [
        (["anatomy", "--pairing", "simulated"], "--pairing simulated: is not an option of the recipe anatomy"),
        (["anatomy", "--pairing", "folders"], "--pairing folders: is not an option"),
        (
            ["anatomy", "--split", "mayo-2016"],
            "--split mayo-2016: is not an option of the recipe anatomy; leave it out",
        ),
        (["anatomy", "--data", tmp_path / "empty"], "no labelled scan found"),
        (["anatomy", "--data", tmp_path / "nowhere"], "nowhere: no such file or folder"),
        (["anatomy", "--data", labelled / "no-ct"], "labels without a CT"),
        (["anatomy", "--start", unet], "an anatomy network has"),
        (["anatomy", "--set", "patch=64"], "no setting 'patch'; there are"),
        (["anatomy", "--set", "size=100"], "size=100: must be a multiple of 32"),
        (["anatomy", "--set", "patients=0"], "patients=0: must be from 1"),
        (["anatomy", "--set", "size"], "--set size: write NAME=VALUE"),
        (["anatomies"], "there are alden, anatomy, ascon, cpce"),
        (["unet"], "recipe unet: give the folder to train on with --data"),
        (["unet", "--pairing", "simulated"], "recipe unet: give the folder"),
        (["unet", "--data", labelled, "--bank", tmp_path / "bank"], "bank: is for --pairing simulated"),
        (["unet", "--data", labelled, "--pairing", "folders", "--bank", "x"], "--bank x: is for --pairing simulated"),
        (["unet", "--data", labelled, "--set", "size=64"], "no setting 'size'"),
        (["unet", "--data", labelled, "--set", "dose_low=0.1"], "--set dose_low=0.1: is for --pairing simulated"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for arguments, reason in cases:
        assert train(*arguments, "--out", tmp_path / "run", hyperparameters=()) == 2, arguments
        said = capfd.readouterr().err
        assert reason in said, arguments
        assert "Traceback" not in said
        assert sorted(tmp_path.rglob("*")) == before, arguments
