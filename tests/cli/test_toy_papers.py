"""Toy papers, each in one file of its own: trained, resumed as if never stopped, and applied."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import torch

from lowdose import cli
from lowdose.api.training_run import TrainingRun
from lowdose.network_spec import NETWORKS
from lowdose.training import runner
from lowdose.training import trainer as trainer_module
from lowdose.training.pairing_registry import PAIRINGS
from lowdose.weights.files import read_weights
from support import papers
from support.training_runs import StopAfter, assert_same

PAPERS = Path(papers.__file__).parent
TOYS = sorted(path.stem for path in PAPERS.glob("[a-z]*.py"))
OPTIONS = {"own_noise": ("--pairing", "noisier")}
SETTINGS = (
    "steps=6",
    "batch=2",
    "patch=32",
    "warmup=1",
    "validation_patients=0",
    "checkpoint_every=1",
    "lesion_share=1",
)


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


def train(toy: str | Path, pairs: Path, out: Path, *options: object) -> int:
    file = PAPERS / f"{toy}.py" if isinstance(toy, str) else toy
    settings = (text for setting in SETTINGS for text in ("--set", setting))
    given = ("--recipe-file", file, "--data", pairs, "--out", out, "--precision", "32-true", "--device", "cpu")
    options = (*OPTIONS.get(file.stem, ()), *options)
    return run("train", *given, *settings, *options)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Networks and pairings of a toy are forgotten after its test."""
    before = [(names, dict(names)) for names in (NETWORKS, PAIRINGS)]
    yield
    for names, known in before:
        names.clear()  # type: ignore[attr-defined]
        names.update(known)  # type: ignore[attr-defined]


def logged(out: Path) -> list[list[str]]:
    rows = list(csv.reader((out / "log.csv").open()))
    return [row for row in rows if row[1] != "seconds_per_step" and not row[1].startswith("throughput/")]


@pytest.mark.parametrize("toy", TOYS)
def test_a_toy_resumes_as_if_never_stopped_and_denoises(
    toy: str, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "LOG_EVERY", 2)
    assert train(toy, pairs, tmp_path / "whole") == 0
    for stop in (1, 3):  # in the middle of the whole, twice
        monkeypatch.setattr(runner, "GracefulStop", StopAfter(stop))
        resume = ["--resume"] if stop > 1 else []
        assert train(toy, pairs, tmp_path / "parts", *resume) == 130
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert train(toy, pairs, tmp_path / "parts", "--resume") == 0
    whole, parts = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    for key in ("step", "modules", "ema", "averages", "optimisers", "buffers"):
        assert_same(whole[key], parts[key])
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    for one in (tmp_path / "whole").glob("*.safetensors"):
        assert_same(read_weights(one).tensors, read_weights(tmp_path / "parts" / one.name).tensors)
    applied = ("--model", tmp_path / "parts" / "model.safetensors", "--network-file", PAPERS / f"{toy}.py")
    assert run("denoise", pairs / "p1" / "quarter", "--out", tmp_path / "denoised", *applied) == 0
    assert len(list((tmp_path / "denoised").glob("*.dcm"))) == 3


def test_teachers_of_a_kind_of_its_own(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train("two_players", pairs, tmp_path / "run", "--teacher", "filter:means") == 0
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (described["filter"], described["settings"]["filter"]) == ("means", "means")
    cases = (
        (("--resume",), "filter was means, now edges"),
        (("--teacher", "filter:none"), "filter 'none' is not known; known are edges, means"),
        (("--teacher", "none:means"), "no kind 'none' in the recipe two_players; there is filter:NAME, for example"),
    )
    for options, reason in cases:
        capfd.readouterr()
        out = tmp_path / ("run" if "--resume" in options else "new")
        assert train("two_players", pairs, out, *options) == 2
        assert reason in capfd.readouterr().err
        assert not (tmp_path / "new").exists()


def test_a_run_starts_from_any_module_of_another(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    toy, first = "two_players", tmp_path / "first"
    assert train(toy, pairs, first) == 0
    file = read_weights(first / "critic.safetensors")
    stated = {key: file.header[key] for key in ("format", "artefact", "module", "recipe", "run")}
    assert stated == {
        "format": "lowdose-artefact-1", "artefact": "critic", "module": "Sequential", "recipe": toy, "run": "first",
    }  # fmt: skip
    assert json.loads(file.header["training"])["step"] == 6
    assert TrainingRun(first, complete=True).artefacts == {"critic": first / "critic.safetensors"}
    assert run("models", "show", first / "critic.safetensors") == 0
    assert "critic (Sequential)" in capfd.readouterr().out
    assert (
        run("denoise", pairs / "p1" / "quarter", "--out", tmp_path / "no", "--model", first / "critic.safetensors") == 2
    )

    hashes = {name: read_weights(first / f"{name}.safetensors").sha256 for name in ("model", "critic")}
    starts = {"model": hashes["model"], "critic": {"critic": hashes["critic"]}, "": hashes}
    for name, expected in starts.items():
        out = tmp_path / f"from_{name}"
        start = first / f"{name}.safetensors" if name else first
        frozen = ("--set", "learning_rate=1e-12", "--set", "steps=1", "--set", "ema=0", "--start", start)
        assert train(toy, pairs, out, *frozen) == 0
        assert json.loads((out / "run.json").read_text())["settings"]["start"] == expected
        before, after = (read_weights(place / "model.safetensors").tensors for place in (first, out))
        same = all(torch.allclose(value, after[key], atol=1e-9) for key, value in before.items())
        assert same == (name != "critic")

    shutil.copy(PAPERS.parents[2] / "examples" / "my_paper" / "my_paper.py", tmp_path / "mine.py")
    capfd.readouterr()
    assert train(tmp_path / "mine.py", pairs, tmp_path / "x", "--start", first / "critic.safetensors") == 2
    assert "holds a critic, which the recipe mine does not train; it trains model" in capfd.readouterr().err
    wider = tmp_path / "wider.py"
    wider.write_text((PAPERS / f"{toy}.py").read_text().replace("nn.Conv2d(1, 2, 3, 2)", "nn.Conv2d(1, 2, 5, 2)"))
    NETWORKS.pop("toy_player")
    assert train(wider, pairs, tmp_path / "x", "--start", first / "critic.safetensors") == 2
    assert "its critic has other layers than that of this training" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_pairing_must_have_what_a_method_learns_from(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cases = (
        ("two_players", "none", "--pairing none: has no 'full', which TwoPlayers learns from; give pairs of scans"),
        ("two_players", "gone", "--pairing gone: must be one of folders, gaussian-noise, learned-noise, none"),
        ("own_noise", "none", "--pairing none: has no 'full', which Noisier2Noise learns from"),
    )
    for toy, pairing, reason in cases:
        assert train(toy, pairs, tmp_path / "run", "--pairing", pairing) == 2
        assert reason in capfd.readouterr().err
    assert train("two_players", pairs, tmp_path / "run", "--bank", tmp_path / "bank") == 2
    assert "bank: is for --pairing simulated" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())

    alone = tmp_path / "alone.py"
    text = (PAPERS / "own_noise.py").read_text().replace("toy_mean", "toy_alone")
    alone.write_text(text.replace('("low", "full")', '("low",)').replace("batch.full", "batch.low"))
    assert train(alone, pairs, tmp_path / "run", "--pairing", "none") == 0
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["settings"]["pairing"] == "none"
    assert described["training"] == {"slices": 12, "patients": 2}  # of both doses


def test_a_sampler_has_its_conditioner_in_its_file_and_takes_steps(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        train("noisy_sampler", pairs, tmp_path / "run", "--teacher", "filter:edges", "--set", "local_means_px=0") == 0
    )
    weights = tmp_path / "run" / "model.safetensors"
    file = read_weights(weights)
    assert file.tensors["conditioner.weight"][0, 0].tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert file.header["local_means_px"] == "0.0"
    given = ("denoise", pairs / "p1" / "quarter", "--model", weights)
    results = []
    for number, options in enumerate(((), ("--jobs", 2), ("--steps", 3, "--depth", 1), ("--steps", 1), ("--depth", 2))):
        assert run(*given, "--out", tmp_path / f"{number}", *options) == 0
        files = sorted((tmp_path / f"{number}").glob("*.dcm"))
        results.append(b"".join(pydicom.dcmread(file).PixelData for file in files))
    assert results[0] == results[1] == results[2]
    assert len(set(results)) == 3
    assert "draws random numbers, which no engine exports: plain PyTorch runs it" in capfd.readouterr().err
    for options, reason in (
        (("--steps", 21), "--steps 21: must be from 1 to 20 for the model run"),
        (("--steps", 2, "--ray", "local"), "--steps: is for a single series"),
    ):
        assert run(*given, "--out", tmp_path / "no", *options) == 2
        assert reason in capfd.readouterr().err
        assert not (tmp_path / "no").exists()


def test_a_changed_file_is_another_run(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = Path(shutil.copy(PAPERS / "two_players.py", tmp_path / "mine.py"))
    assert train(mine, pairs, tmp_path / "run") == 0
    assert train(mine, pairs, tmp_path / "run", "--resume") == 0
    mine.write_text(mine.read_text() + "\n# changed\n")
    capfd.readouterr()
    assert train(mine, pairs, tmp_path / "run", "--resume") == 2
    assert "cannot resume with other settings (recipe_file was mine.py " in capfd.readouterr().err
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["run"]["recipe_file"]  # as of an earlier version, which did not look
    torch.save(state, tmp_path / "run" / "state.pt")
    assert train(mine, pairs, tmp_path / "run", "--resume") == 0
