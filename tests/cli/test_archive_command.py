"""``lowdose denoise --ray``: how an interrupt ends it, and what goes on from there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lowdose import cli
from lowdose.archive import distribute
from lowdose.archive.settings import ArchiveSettings
from support import small_archive
from support.archive_without_ray import denoise_here
from support.signals import wait_for


def command(root: Path, out: Path, model: Path) -> list[str]:
    options = ["--ray", "--model", str(model), "--engine", "torch", "--jobs", "1"]
    return ["denoise", str(root), "--out", str(out), *options]


def last_words(out: Path) -> list[str]:
    stopped = f"stopped; what is done is in {out}, and the same command goes on from there"
    return [stopped, "lowdose: interrupted"]


def assert_another_run_goes_on(root: Path, out: Path, model: Path) -> None:
    assert not list(out.rglob(".*"))
    summary = denoise_here(root, out, ArchiveSettings(model=str(model), engine="torch"), [])
    assert (summary.done, summary.quarantined) == (3, 0)
    assert len(list(out.rglob("*series-*"))) == 3


def test_an_interrupted_command_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root, out, model = tmp_path / "in", tmp_path / "out", small_archive.model(tmp_path / "tiny.safetensors")
    for seed in range(3):
        small_archive.series(root / str(seed), seed)

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(distribute, "distribute", interrupted)
    assert cli.run(command(root, out, model)) == 130
    assert capfd.readouterr().err.splitlines()[-2:] == last_words(out)
    assert_another_run_goes_on(root, out, model)


@pytest.mark.long
def test_a_signal_ends_the_command_as_documented_and_another_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    root, out, model = tmp_path / "in", tmp_path / "out", small_archive.model(tmp_path / "tiny.safetensors")
    for seed, slices in enumerate((200, 3, 3)):
        small_archive.series(root / str(seed), seed, slices)
    main = [sys.executable, "-m", "lowdose", *command(root, out, model)]
    process = subprocess.Popen(main, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: bool(list(out.rglob(".series-*.partial-*/*.dcm"))), 120.0)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)  # what a scheduler waits before it kills
    assert process.returncode == 130, said
    assert said.splitlines()[-2:] == last_words(out)
    lines = "checking |to do|done, |says where|was left by a run"  # and none of Ray's, nor a native stack
    assert all(re.search(lines, line) for line in said.splitlines()[:-2]), said
    assert_another_run_goes_on(root, out, model)
