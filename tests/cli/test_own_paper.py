"""A paper outside of the package: trained from a file, applied, and installed as a package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowdose import cli
from lowdose.network_spec import NETWORKS

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_paper"
TINY = ("steps=2", "batch=1", "patch=32", "warmup=1", "validation_patients=0")
SETTINGS = tuple(text for setting in TINY for text in ("--set", setting))


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture
def registry() -> Iterator[dict[str, object]]:
    """The registered networks; those of a test are forgotten after it."""
    before = dict(NETWORKS)
    yield NETWORKS  # type: ignore[misc]
    NETWORKS.clear()
    NETWORKS.update(before)


def test_what_a_file_trains_is_applied_with_that_file(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], registry: dict[str, object]
) -> None:
    file, out, source = EXAMPLE / "my_paper.py", tmp_path / "run", pairs / "p1" / "quarter"
    assert run("train", "--recipe-file", file, "--data", pairs, "--out", out, *SETTINGS) == 0
    described = json.loads((out / "run.json").read_text())
    assert (described["settings"]["recipe"], described["network"]["name"]) == ("my_paper", "my_network")
    assert {"denoiser/mse", "denoiser/mae"} <= {row.split(",")[1] for row in (out / "log.csv").read_text().splitlines()}
    weights = out / "model.safetensors"
    assert (
        run("denoise", source, "--out", tmp_path / "here", "--model", weights, "--engine", "torch") == 0
    )  # the network is known here

    registry.pop("my_network")  # as in a new process
    capfd.readouterr()
    assert run("denoise", source, "--out", tmp_path / "none", "--model", weights) == 2
    said = capfd.readouterr().err
    assert "model.safetensors: network 'my_network' is not known; give the Python file that defines it with" in said
    assert "damaged" not in said
    assert not (tmp_path / "none").exists()
    own = ("--model", weights, "--network-file", file)
    assert run("denoise", source, "--out", tmp_path / "denoised", *own, "--engine", "torch") == 0
    assert run("denoise", pairs, "--out", tmp_path / "archive", *own, "--ray", "local") == 2
    registry.pop("my_network")
    assert run("evaluate", "--low", source, "--full", pairs / "p1" / "full", "--out", tmp_path / "table", *own) == 0


def test_own_networks_go_with_the_losses_of_the_package(
    pairs: Path, tmp_path: Path, registry: dict[str, object]
) -> None:
    given = ("perceptual", "--data", pairs, "--out", tmp_path / "run", *SETTINGS, "--set", "perceptual_weight=0")
    assert run("train", *given, "--network", "my_network:width=4") == 2
    assert run("train", *given, "--network", "my_network:width=4", "--network-file", EXAMPLE / "my_paper.py") == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["network"] == {"name": "my_network", "width": 4}


def test_recipe_files_that_are_none_end_in_one_line(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, text in (
        ("empty", ""), ("wrong", "RECIPE = 3"), ("broken", "import no_such_package"), ("unet", "RECIPE = 3")
    ):  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    cases = (
        (("--recipe-file", tmp_path / "empty.py"), "empty.py: defines no recipe; let the file set RECIPE ="),
        (("--recipe-file", tmp_path / "wrong.py"), "wrong.py: defines no recipe"),
        (("--recipe-file", tmp_path / "broken.py"), "broken.py: does not import (ModuleNotFoundError"),
        (("--recipe-file", tmp_path / "gone.py"), "gone.py: no such file"),
        (("--recipe-file", tmp_path / "unet.py"), "unet.py: there is a recipe 'unet' already; rename the file"),
        (("unet", "--recipe-file", tmp_path / "empty.py"), "takes the place of the recipe unet; leave one of them out"),
        ((), "no recipe given; there are alden, anatomy, "),
        (("nonet",), "no recipe 'nonet'; there are alden, anatomy, "),
    )
    for arguments, reason in cases:
        assert run("train", *arguments, "--data", pairs, "--out", tmp_path / "run") == 2
        said = capfd.readouterr().err
        assert reason in said, arguments
        assert said.strip().count("\n") == 0, said
        assert not (tmp_path / "run").exists()


def test_the_example_is_short() -> None:
    assert sum(len(path.read_text().splitlines()) for path in EXAMPLE.iterdir() if path.is_file()) <= 60


@pytest.mark.slow
def test_an_installed_paper_is_trained_and_applied_by_name(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    registry: dict[str, object],
) -> None:  # fmt: skip
    built, site = shutil.copytree(EXAMPLE, tmp_path / "source"), tmp_path / "site"
    build = "from setuptools.build_meta import build_wheel; build_wheel('wheels')"
    subprocess.run([sys.executable, "-c", build], cwd=built, check=True, capture_output=True)
    (wheel,) = (built / "wheels").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)  # as pip does
    monkeypatch.syspath_prepend(site)
    assert run("train", "--help") == 0
    assert run("train", "my_paper", "--data", pairs, "--out", tmp_path / "run", *SETTINGS) == 0
    del registry["my_network"], sys.modules["my_paper"]  # as in a new process
    source, out, weights = pairs / "p1" / "quarter", tmp_path / "denoised", tmp_path / "run" / "model.safetensors"
    assert run("denoise", source, "--out", out, "--model", weights, "--engine", "torch") == 0
    del sys.modules["my_paper"]
    said = capfd.readouterr().out
    assert "my_paper" in said
    assert "my_network" in said
    assert len(list(out.glob("*.dcm"))) == 3
