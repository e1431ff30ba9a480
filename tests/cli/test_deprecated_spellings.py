"""Spellings of version 0.1 still work, each with one line that names the new one."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose import cli
from support.ct_pair import CTPair, shortened

Command = Callable[[CTPair, Path], list[str]]


def run(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "deprecated" in line]


def test_denoise(ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = (ct_pair.quarter, tmp_path / "old", "--model", "gaussian", "--json", "--precision", "exact")
    assert run("denoise", *given) == 0
    assert lines(capfd.readouterr().err) == [
        f"warning: deprecated: OUTPUT as an argument; use --out {tmp_path / 'old'}",
        "warning: deprecated: --json; use --manifest",
        "warning: deprecated: --precision exact; use --accuracy exact",
    ]
    assert run("denoise", ct_pair.quarter, "-o", tmp_path / "new", "--model", "gaussian", "--manifest") == 0
    assert not lines(capfd.readouterr().err)
    old, new = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("old", "new"))
    assert old == new


@pytest.mark.slow
def test_simulate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--dose", "0.25", "--kernel", "b30", "--mas", "100")
    assert run("simulate", shortened(tmp_path / "pair", slices=1).full, tmp_path / "old", *options) == 0
    assert lines(capfd.readouterr().err) == [
        f"warning: deprecated: OUTPUT as an argument; use --out {tmp_path / 'old'}"
    ]
    assert len(list((tmp_path / "old").iterdir())) == 1


def test_data_pack(ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "pack", ct_pair.full, tmp_path / "old.pack", "--pairing", "none", "--dose", "low") == 0
    said = lines(capfd.readouterr().err)
    assert said == [
        f"warning: deprecated: OUT as an argument; use --out {tmp_path / 'old.pack'}",
        "warning: deprecated: --pairing and --dose; use --contents low-dose",
    ]
    assert run("data", "pack", ct_pair.full, "--out", tmp_path / "new.pack", "--contents", "low-dose") == 0
    assert not lines(capfd.readouterr().err)
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("old.pack", "new.pack")]
    assert names[0] == names[1] == ["low-256x256.npy", "slices.json"]
    assert run("data", "pack", ct_pair.full, "--out", tmp_path / "other.pack", "--contents", "guess") == 2
    assert "--contents guess: must be one of pairs, full-dose, low-dose" in capfd.readouterr().err


def test_data_check(ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", ct_pair.full, "--json", tmp_path / "old.json") == 0
    said = lines(capfd.readouterr().err)
    assert said == [f"warning: deprecated: --json {tmp_path / 'old.json'}; use --out {tmp_path / 'old.json'}"]
    assert run("data", "check", ct_pair.full, "--out", tmp_path / "new.json") == 0
    assert json.loads((tmp_path / "old.json").read_text()) == json.loads((tmp_path / "new.json").read_text())


def test_a_hyperparameter(ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    quick = ("steps=1", "batch=1", "patch=32", "perceptual_weight=0", "validation_patients=0", "recast_share=0.2")
    settings = [part for value in quick for part in ("--set", value)]
    given = ("--data", ct_pair.full.parent, "--network", "red_cnn:channels=2", "--out", tmp_path / "run")
    assert run("train", "perceptual", *given, *settings) == 0
    assert "deprecated: --set recast_share=; use --set kernel_conversion_share=" in capfd.readouterr().err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["kernel_conversion_share"] == 0.2


def test_teachers_with_options_of_their_own(ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = [part for value in ("steps=1", "batch=1", "patch=32") for part in ("--set", value)]
    given = ("perceptual", "--data", ct_pair.full.parent, "--network", "red_cnn:channels=2", *settings)
    assert run("train", *given, "--features", "anatomy-random", "--out", tmp_path / "old") == 0
    assert lines(capfd.readouterr().err) == [
        "warning: deprecated: --features anatomy-random; use --teacher features:anatomy-random"
    ]
    resumed = ("--teacher", "features:anatomy-random", "--out", tmp_path / "old", "--resume")
    assert run("train", *given, *resumed) == 0
    assert not lines(capfd.readouterr().err)
    with pytest.raises(TypeError, match="unexpected keyword argument 'feature'"):
        lowdose.train("perceptual", tmp_path / "new", feature="anatomy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["denoise", "in.npz"], "--out: say where the result is to go"),
        (["denoise", "in.npz", "a.npz", "--out", "b.npz"], "give the output once, with --out"),
        (["demo"], "--out: say where"),
        (["data", "pack", "."], "--out: say where"),
    ],
)
def test_an_output_is_needed_once(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", hu=np.zeros((1, 64, 64)), spacing=np.ones(3))
    assert run(*arguments) == 2
    assert words in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]
