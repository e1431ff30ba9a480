"""``lowdose models`` as a user meets it: the table, a card, a model of one's own, and that help stays quick."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose import cli
from lowdose.models.classical import CLASSICAL
from lowdose.weights import files
from lowdose.weights.identity import shipped_weights


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_table_holds_every_model_and_fits(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "add", model, "--name", "tiny") == 0
    capfd.readouterr()
    assert run("models") == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: line for line in lines if line}
    assert {*shipped_weights(), *CLASSICAL, "tiny"} <= set(rows)
    assert rows["fast"].split()[1:6] == ["(default)", "denoiser", "shuffle_unet", "1,479,796", "3.0"]
    assert rows["tiny"].split()[1:] == ["denoiser", "unet", "1,657", "<0.1", "1-5", "3"]
    assert "10,161 words" in rows["words"]
    assert sum("(default)" in line for line in lines) == 1
    assert said.out.endswith("models: tiny\n")
    assert said.err == ""


def test_a_long_name_is_folded(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "add", model, "--name", "n" * 64) == 0
    assert run("models") == 0
    table = capfd.readouterr().out.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 100
    assert sum(line.count("n" * 8) > 0 for line in table) > 1


def test_the_list_as_json(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "add", model, "--name", "tiny") == 0
    capfd.readouterr()
    assert run("models", "--json") == 0
    found = {entry["name"]: entry for entry in json.loads(capfd.readouterr().out)}
    assert set(found) == {*shipped_weights(), *CLASSICAL, "tiny"}
    assert (found["tiny"]["origin"], found["nlm"]["info"]) == ("added", None)
    assert found["tiny"]["info"]["ranges"]["noise_sd"] == [1, 5]
    assert found["fast"]["info"]["sha256"] == shipped_weights()["fast"]


def test_a_damaged_model_is_a_row_and_a_warning(model: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "add", model, "--name", "tiny") == 0
    (folder / "tiny.safetensors").write_text("x")
    capfd.readouterr()
    assert run("models") == 0
    said = capfd.readouterr()
    assert "cannot be used" in said.out
    assert "warning: " in said.err
    assert "models remove tiny" in said.err
    assert run("denoise", model, "out", "--model", "tiny") == 2
    assert "SHA-256" in capfd.readouterr().err


def test_show_of_a_shipped_model(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "show", "fast") == 0
    said = capfd.readouterr().out
    assert said.startswith("# Model card: `fast`")
    lines = said.split("\n\n")[-1].splitlines()
    assert max(map(len, lines)) <= 100
    facts = dict(line.split(maxsplit=1) for line in lines if line[:1] != " ")
    assert facts["kind"] == "denoiser, shipped"
    assert facts["network"] == "shuffle_unet; width 48"
    assert facts["SHA-256"] == f"{shipped_weights()['fast']} (as in the index)"
    assert "weights as float16" in facts["file"]
    assert "noise SD" in facts["made"]
    assert facts["estimates"] == "the noise-free image"
    assert facts["local"] == "means kept, Gaussian of 2.5 pixels"
    assert "lowdose 0.2.0" in said
    assert facts["training"].startswith("recipe noise_free, ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("anatomy", "50 classes"),
        ("leda_autoencoder", "word_length 0.45"),
        ("words", "10161 entries"),
        ("tv", "Chambolle"),
        ("nlm", "Strength 0.95"),
    ],
)
def test_show_of_models_that_are_no_denoisers(name: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "show", name) == 0
    assert said in capfd.readouterr().out


def test_show_of_a_file_and_of_a_card_that_steers_a_terminal(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("models", "show", model) == 0
    said = capfd.readouterr().out
    assert said.startswith("kind        denoiser, file\n")
    assert "as in the index" not in said
    card = model.with_suffix(".md")
    try:
        card.write_text("# mine \x1b[31mred\tend\n")
        assert run("models", "show", model) == 0
    finally:
        card.unlink()
    assert capfd.readouterr().out.startswith("# mine ?[31mred    end\n\nkind  ")


@pytest.mark.slow
def test_an_added_model_denoises_and_is_removed(
    model: Path, tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hu = np.random.default_rng(0).normal(0, 40, (2, 40, 40)).astype(np.float32)
    hu[:, :10] = -1000
    np.savez(tmp_path / "in.npz", hu=hu, spacing=np.array([3.0, 0.8, 0.8]))
    assert run("models", "add", model, "--name", "mine") == 0
    assert "--model mine" in capfd.readouterr().err
    for name, out in (("mine", "a.npz"), (model, "b.npz")):
        assert run("denoise", tmp_path / "in.npz", "--out", tmp_path / out, "--model", name) == 0
    assert np.array_equal(np.load(tmp_path / "a.npz")["hu"], np.load(tmp_path / "b.npz")["hu"])
    assert "model mine on cpu" in capfd.readouterr().err
    assert run("models", "remove", "mine") == 0
    assert [path.name for path in folder.iterdir()] == ["index.json"]
    assert run("denoise", tmp_path / "in.npz", "--out", tmp_path / "c.npz", "--model", "mine") == 2
    assert "no model 'mine'" in capfd.readouterr().err


def test_evaluate_takes_an_added_model(model: Path) -> None:
    assert run("models", "add", model, "--name", "mine") == 0
    ready = lowdose.load_model("mine", device="cpu")
    assert (ready.name, ready.sha256) == ("mine", files.read_weights(model).sha256)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "unnet"), "no model 'unnet'"),
        (("add", "gone.safetensors"), "gone.safetensors: no such file"),
        (("remove", "fast"), "'fast' comes with lowdose"),
        (("remove", "mine"), "no added model 'mine'"),
        (("add",), "Missing argument"),
        (("list",), "No such command"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[str, ...], said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("models", *arguments) == 2
    assert said in capfd.readouterr().err
    assert not folder.exists()


def test_help_loads_no_torch() -> None:
    code = "import sys, lowdose.cli; lowdose.cli.run(['models', '--help']); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "False"
