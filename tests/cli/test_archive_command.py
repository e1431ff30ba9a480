"""``lowdose denoise --ray`` as a process: how a signal ends it, and what goes on from there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowdose.archive.settings import ArchiveSettings
from support import small_archive
from support.archive_without_ray import denoise_here


@pytest.mark.slow
def test_a_signal_ends_the_command_as_documented_and_another_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out, model = tmp_path / "out", small_archive.model(tmp_path / "tiny.safetensors")
    for seed, slices in enumerate((200, 3, 3)):
        small_archive.series(tmp_path / "in" / str(seed), seed, slices)
    command = [sys.executable, "-m", "lowdose", "denoise", str(tmp_path / "in"), "--out", str(out), "--ray"]
    command += ["--model", str(model), "--engine", "torch", "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.rglob(".series-*.partial-*/*.dcm")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)  # what a scheduler waits before it kills
    assert process.returncode == 130, said
    stopped = f"stopped; what is done is in {out}, and the same command goes on from there"
    assert said.splitlines()[-2:] == [stopped, "lowdose: interrupted"]
    lines = "checking |to do|done, |says where|was left by a run"  # and none of Ray's, nor a native stack
    assert all(re.search(lines, line) for line in said.splitlines()[:-2]), said
    assert not list(out.rglob(".*"))
    summary = denoise_here(tmp_path / "in", out, ArchiveSettings(model=str(model), engine="torch"), [])
    assert (summary.done, summary.quarantined) == (3, 0)
    assert len(list(out.rglob("*series-*"))) == 3
