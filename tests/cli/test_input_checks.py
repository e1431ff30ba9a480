"""What every command refuses before it begins, and options that mean nothing where they are given."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lowdose import cli
from lowdose.io.dicom.new_series import write_new_series
from support.nifti_files import hu_stack, save_nifti
from support.scanned_patients import scan

SAGITTAL = np.array([[0, 0, -0.7, 0], [-0.7, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])


def refused(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail at once, and return its only line."""
    assert cli.run([str(argument) for argument in arguments]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    return said


INPUT_FIRST = [
    ["denoise", "IN", "--out", "OUT"],
    ["simulate", "IN", "--dose", "0.5", "--out", "OUT"],
    ["explain", "IN", "--out", "OUT"],
    ["evaluate", "--low", "IN", "--full", "IN", "--out", "OUT"],
    ["evaluate", "--data", "IN", "--out", "OUT"],
    ["train", "red_cnn", "--data", "IN", "--out", "OUT"],
    ["train", "noise_free", "--pairing", "simulated", "--data", "IN", "--out", "OUT"],
    ["train", "anatomy", "--data", "IN", "--out", "OUT"],
    ["train", "leda_autoencoder", "--data", "IN", "--out", "OUT"],
    ["data", "pack", "IN", "--out", "OUT"],
    ["data", "pack", "IN", "--contents", "full-dose", "--out", "OUT"],
    ["data", "check", "IN"],
]


@pytest.mark.parametrize("arguments", INPUT_FIRST, ids=" ".join)
@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "empty", "missing"])
def test_what_is_no_file_or_folder_is_refused_by_every_command(
    arguments: list[str], kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "in.nii"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "loop":
        place.symlink_to(place)
    elif kind == "empty":
        place.touch()
    given = Path("/dev/zero") if kind == "device" else place
    values = {"IN": given, "OUT": tmp_path / "out"}
    said = refused(capfd, *(values.get(text, text) for text in arguments))
    expected = {"pipe": "is a named pipe", "device": "is a device", "loop": "cannot be opened", "empty": "empty"}
    assert expected.get(kind, "no such") in said
    assert str(given) in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", INPUT_FIRST, ids=" ".join)
def test_empty_text_is_no_path(arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = {"IN": "", "OUT": tmp_path / "out"}
    assert "empty text" in refused(capfd, *(values.get(text, text) for text in arguments))
    assert "nothing is given after '--out'" in refused(capfd, "denoise", tmp_path, "--out=")


def test_options_that_mean_nothing_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", hu_stack())
    one, out = tmp_path / "a.npy", ["--out", tmp_path / "out.npy"]
    assert "--retry: is for an archive; add --ray" in refused(capfd, "denoise", one, *out, "--retry")
    assert "--jobs 0: must be at least 1" in refused(capfd, "denoise", one, *out, "--jobs", "0")
    assert "--explain-slices: needs --explain" in refused(capfd, "denoise", one, *out, "--explain-slices", "3")
    assert "--preview: is for a single series" in refused(capfd, "denoise", tmp_path, *out, "--preview", "--ray")
    assert "--slices: is for --phantom" in refused(capfd, "simulate", one, *out, "--dose", "0.5", "--slices", "3")
    phantom = ["simulate", "--phantom", "water", *out, "--dose", "0.5"]
    for option, value in (("--series", "1.2"), ("--z-correlation", "0.1"), ("--pixel", "1"), ("--thickness", "1")):
        assert f"{option}: is for a series" in refused(capfd, *phantom, option, value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dose", "1e-12"], "dose 1e-12: must be from 0.001 to 1"),
        (["--dose", "0.5", "--mas", "1e-30"], "--mas 1e-30: must be from 0.1 to 10000 mAs"),
        (["--dose", "0.5", "--mas", "nan"], "--mas nan"),
        (["--dose", "0.5", "--mas", "1e9"], "--mas 1e+09"),
        (["--dose", "0.5", "--pixel", "0"], "--pixel 0: must be a number of mm from 0.05 to 5"),
        (["--dose", "0.5", "--thickness", "nan"], "--thickness nan: must be a number of mm from 0.05 to 20"),
    ],
)
def test_absurd_numbers_are_refused(
    options: list[str], words: str, pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capfd, "simulate", pairs / "p1" / "full", "--out", tmp_path / "out", *options)
    if "--mas" in options:
        phantom = ["simulate", "--phantom", "water", "--out", tmp_path / "out"]
        assert words in refused(capfd, *phantom, *options)


def test_a_dose_that_leaves_no_image_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_new_series(scan(1, slices=1).full, tmp_path / "in", description="full", patient="A")
    options = ["--kernel", "b30", "--mas", "50"]
    for dose, told in (("0.25", False), ("0.001", True)):
        assert cli.run(["simulate", str(tmp_path / "in"), "--out", str(tmp_path / dose), "--dose", dose, *options]) == 0
        assert ("of the rays through the body count fewer than 10 photons" in capfd.readouterr().err) == told


def test_sagittal_slices_are_told_and_refused_when_strict(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save_nifti(tmp_path / "a.nii", affine=SAGITTAL)
    options = ["--model", str(model), "--engine", "torch"]
    assert cli.run(["denoise", str(path), "--out", str(tmp_path / "b.nii"), *options]) == 0
    assert "warning: the slices are sagittal: the model was trained on axial slices" in capfd.readouterr().err
    strict = ["denoise", str(path), "--out", str(tmp_path / "c.nii"), *options, "--strict"]
    assert cli.run(strict) == 2
    assert "refused by --strict: the slices are sagittal" in capfd.readouterr().err
    assert not (tmp_path / "c.nii").exists()


def test_sizes_stated_for_an_array_reach_the_model(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", hu_stack())
    options = ["--model", str(model), "--engine", "torch", "--pixel", "0.7", "--thickness", "3"]
    assert cli.run(["denoise", str(tmp_path / "a.npy"), "--out", str(tmp_path / "b.npy"), *options]) == 0
    said = capfd.readouterr().err
    assert "slice thickness" not in said
    assert "spacing is unknown" not in said
    assert np.load(tmp_path / "b.npy").shape == hu_stack().shape
