"""``lowdose explain``, ``denoise --explain`` and ``evaluate --words`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lowdose import cli
from lowdose.infer import pipeline
from support import tiny_word_autoencoder


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


def test_explain_writes_everything_and_no_patient(
    pairs: Path, autoencoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = pairs / "p1" / "full", tmp_path / "out"
    assert run("explain", source, "--out", out, "--autoencoder", autoencoder, "--slices", 2, "--vocabulary", "all") == 0
    said = capfd.readouterr().err
    assert "2 of 3 slices" in said
    assert "layer 1: word" in said
    content = json.loads((out / "words.json").read_text())
    assert [found["slice"] for found in content["slices"]] == [0, 2]
    study = pydicom.dcmread(next(source.glob("*.dcm"))).StudyInstanceUID
    for file in out.iterdir():
        text = file.read_bytes().decode("latin1")
        assert "SECRET" not in text
        assert study not in text or file.name == "words.json"  # as in the manifest of denoise
    assert sorted(file.name for file in out.iterdir()) == [
        "index.html", "words.csv", "words.json", "words_0001.png", "words_0003.png",
    ]  # fmt: skip


def test_denoise_says_where_a_model_made_something_up(
    pairs: Path, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def lying(_: object, around: list[list[pipeline.Slice]], strength: float) -> list[np.ndarray]:
        ((item,),) = around
        hu = item.hu.copy()
        if item.position == middle:
            hu[56:72, 56:72] += 1500
        return [hu]

    source = pairs / "p1" / "quarter"
    files = sorted(pydicom.dcmread(file).ImagePositionPatient[2] for file in source.glob("*.dcm"))
    middle = float(files[1])
    monkeypatch.setattr(pipeline, "denoise_slices", lying)
    faint = tiny_word_autoencoder.write(tmp_path / "faint.safetensors", limits=tiny_word_autoencoder.EVERYTHING)
    arguments = ["denoise", source, "--out", tmp_path / "out", "--model", model, "--manifest"]
    assert run(*arguments, "--explain", "--autoencoder", faint) == 0
    assert "slice 2: tiny says something else than its input" in capfd.readouterr().err
    content = json.loads((tmp_path / "out" / "words.json").read_text())
    flagged = [bool(found["drift"]["tiny"]["flagged"]) for found in content["slices"]]
    assert flagged == [False, True, False]
    assert "What changed from input to tiny" in (tmp_path / "out" / "words.html").read_text()
    assert (tmp_path / "out" / "words.png").read_bytes().startswith(b"\x89PNG")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert content["warnings"][0] in manifest["warnings"]


def test_evaluate_shows_the_words_of_every_version(pairs: Path, model: Path, autoencoder: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "--data", pairs / "p1", "--model", model, "--out", tmp_path / "report"]
    assert run(*arguments, "--words", "--autoencoder", autoencoder) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<h2>Words</h2>" in page
    assert page.count("data:image/png;base64,") == 3 + 3
    (found,) = json.loads((tmp_path / "report" / "words.json").read_text())["slices"]
    assert list(found["words"]) == ["low dose", "tiny", "full dose"]
    assert list(found["drift"]) == ["tiny"]


def test_impossible_requests_are_refused_and_leave_no_output(
    pairs: Path, model: Path, autoencoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = pairs / "p1" / "full", tmp_path / "out"
    given = ["--model", model]
    for arguments, reason in (
        (["explain", source, "--out", out, "--autoencoder", tmp_path / "none.safetensors"], "no autoencoder"),
        (["explain", source, "--out", out, "--autoencoder", model], "'lowdose train leda_autoencoder' writes one"),
        (["explain", source, "--out", out, "--autoencoder", autoencoder, "--slices", -1], "0 for all"),
        (["explain", source, "--out", out, "--autoencoder", autoencoder, "--layers", 3], "layers 1 to 2"),
        (["explain", source, "--out", out, "--autoencoder", autoencoder, "--vocabulary", "most"], "one of shown, all"),
        (["denoise", source, "--out", out, *given, "--vocabulary", "all"], "needs --explain"),
        (["evaluate", "--data", pairs, *given, "--out", out, "--vocabulary", "all"], "needs --words"),
        (["explain", tmp_path / "nowhere", "--out", out, "--autoencoder", autoencoder], "nowhere"),
        (["denoise", source, "--out", out, *given, "--autoencoder", autoencoder], "needs --explain"),
        (["evaluate", "--data", pairs, *given, "--out", out, "--autoencoder", autoencoder], "needs --words"),
        (["evaluate", "--data", pairs, *given, "--out", out, "--task", "organs", "--words"], "--task images"),
    ):
        assert run(*arguments) == 2, reason
        said = capfd.readouterr().err
        assert reason in said
        assert "Traceback" not in said
        assert not any(tmp_path.iterdir())
