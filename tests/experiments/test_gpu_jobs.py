"""The GPU jobs as they start on a bare machine: a copy of the tree, no virtual environment, no DICOM packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from experiments.furnace.pack_file import write_pack_file

from lowdose import recipes
from lowdose.data.pack_writer import write_pack
from lowdose.models.checkpoint import load_denoiser
from lowdose.training.denoisers import parse_denoiser
from support.missing_packages import environment_without
from support.scanned_patients import body

ROOT = Path(__file__).parents[2]
ABSENT = (
    "pydicom", "gdcm", "pylibjpeg", "openjpeg", "nibabel", "matplotlib", "typer", "openvino", "onnxruntime", "onnx",
    "onnxscript", "ray", "pytest", "hypothesis",
)  # fmt: skip
"""Packages of the development environment that the machine lacks. typer is brought along."""
LOGS = ("log.csv", "run.json")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with inputs: three small patients, and typer as a wheel of its own."""
    folder = tmp_path_factory.mktemp("machine") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info", "inputs", "results")
    for name in ("src", "experiments", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    inputs = folder / "experiments" / "gpu" / "inputs"
    (inputs / "wheels").mkdir(parents=True)
    for patient in range(3):
        clean = body(patient, slices=3, size=160, pixel_mm=2.4)
        noise = np.random.default_rng(patient).normal(0, 12, clean.hu.shape).astype(np.float32)
        replace(clean, hu=clean.hu + noise).save(folder.parent / "scans" / f"{patient}")
    write_pack([folder.parent / "scans"], folder.parent / "set.pack", "none", "full")
    write_pack_file(folder.parent / "set.pack", inputs / "training_set.zip")
    write_wheel("typer", inputs / "wheels" / "typer-1.0-py3-none-any.whl")
    return folder


def write_wheel(package: str, target: Path) -> None:
    """Make a wheel of an installed package of pure Python."""
    code = f"import {package}, pathlib; print(pathlib.Path({package}.__file__).parent)"
    installed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    made = shutil.make_archive(str(target), "zip", Path(installed).parent, package)
    Path(made).rename(target)


def run(checkout: Path, tmp_path: Path, job: str, steps: int) -> str:
    """Run a job for some steps on the CPU and return what it prints."""
    (tmp_path / "hook").mkdir()
    environment = environment_without(ABSENT, tmp_path / "hook") | {
        "PYTHON": sys.executable, "DRY_RUN": str(steps), "WORK": str(tmp_path / "work"), "OUT": str(tmp_path / "out"),
        "PATIENTS": "1", "OMP_NUM_THREADS": "2",
    }  # fmt: skip
    command = ["bash", "experiments/gpu/run.sh", job]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_the_first_job_trains_on_a_bare_machine_and_delivers(checkout: Path, tmp_path: Path) -> None:
    printed = run(checkout, tmp_path, "zoo", 30)
    assert "Next: put them beside the shipped one" in printed
    out = tmp_path / "out"
    assert sorted(file.name for file in out.iterdir()) == ["context.safetensors", "fast.safetensors", "runs.tar.gz"]
    assert load_denoiser(str(out / "fast.safetensors")).denoiser.spec.settings.get("slices", 1) == 1
    model = load_denoiser(str(out / "context.safetensors"))
    assert model.denoiser.spec.settings["slices"] == 3
    assert model.training["step"] == model.training["steps"] == 30
    with tarfile.open(out / "runs.tar.gz") as archive:
        assert sorted(archive.getnames()) == [f"./{run}/{file}" for run in ("context", "fast") for file in LOGS]
        log = archive.extractfile("./context/log.csv")
        described = archive.extractfile("./context/run.json")
        assert log is not None
        assert b"denoiser/lesion_contrast" in log.read()
        assert described is not None
        assert json.load(described)["settings"]["network"] == {"name": "shuffle_unet", "width": 48, "slices": 3}


@pytest.mark.long
def test_the_teacher_trains_on_a_bare_machine(checkout: Path, tmp_path: Path) -> None:
    assert "Next: judge it" in run(checkout, tmp_path, "leda_teacher", 2)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["runs.tar.gz", "teacher.safetensors"]


RECORDER = """\
#!/usr/bin/env bash
# Stands in for Python: writes down what it is called with, and leaves the weights of a training of 16 MiB.
printf '%s\\n' "$*" >>"$CALLS"
while [ $# -gt 0 ]; do
    [ "$1" != --out ] || { mkdir -p "$2" && truncate -s 16M "$2/model.safetensors"; }
    shift
done
"""


@pytest.mark.parametrize(
    ("job", "trainings", "files"), [("leda_teacher", 1, 3), ("leda_denoisers", 6, 13), ("rivals", 2, 5)]
)
def test_long_jobs_train_what_there_is_within_the_minutes(
    checkout: Path, tmp_path: Path, job: str, trainings: int, files: int
) -> None:
    recorder, calls = tmp_path / "python", tmp_path / "calls"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    names = {"PYTHON": recorder, "CALLS": calls, "WORK": tmp_path / "work", "OUT": tmp_path / "out"}
    environment = {**os.environ, **{name: str(value) for name, value in names.items()}}
    subprocess.run(["bash", "experiments/gpu/run.sh", job, "8"], check=True, cwd=checkout, env=environment)
    made = [line.split() for line in calls.read_text().splitlines() if " train " in line]
    assert len(made) == trainings
    for words in made:
        options = dict(zip(words[4::2], words[5::2], strict=True))
        recipe = recipes.get_recipe(words[3])
        given = dict(
            word.split("=") for option, word in zip(words[4::2], words[5::2], strict=True) if option == "--set"
        )
        recipe.hyperparameters.with_values(given)
        if "--network" in options:
            parse_denoiser(options["--network"])
        assert options["--device"] == "cuda"
        assert 0 < float(options["--minutes"]) < 8
    assert float(options["--minutes"]) > 7  # the last one gets all that is left
    pieces = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert len(pieces) == files  # weights of more than 14 MiB in two pieces each, and the logs
    assert max(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 15 << 20


def test_an_unknown_job_is_refused_with_the_list(checkout: Path, tmp_path: Path) -> None:
    environment = environment_without((), tmp_path) | {"PYTHON": sys.executable, "WORK": str(tmp_path / "work")}
    command = ["bash", "experiments/gpu/run.sh", "deliver"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout, env=environment)
    assert done.returncode == 2
    assert "no job 'deliver'; there are zoo leda_teacher" in done.stderr


def test_only_missing_packages_are_brought_along(checkout: Path, tmp_path: Path) -> None:
    program, wheels = (
        checkout / "experiments" / "gpu" / "missing_packages.py",
        checkout / "experiments/gpu/inputs/wheels",
    )
    for missing, expected in (((), []), (("typer",), ["typer"])):
        (tmp_path / f"hook{len(missing)}").mkdir()
        environment = environment_without(missing, tmp_path / f"hook{len(missing)}")
        folder = tmp_path / f"packages{len(missing)}"
        command = [sys.executable, str(program), str(wheels), str(folder)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        assert [child.name for child in folder.iterdir()] == expected
