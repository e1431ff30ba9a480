"""The furnace: a training that is killed equals one that is not, and no fault of one job stops the others."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.furnace import runner
from experiments.furnace.jobs import load_jobs
from experiments.furnace.runner import Runner, copy_code
from experiments.furnace.state import Furnace, Progress

from lowdose.data.pack_writer import write_pack
from lowdose.image import Acquisition, Geometry
from lowdose.volume import Volume
from lowdose.weights.files import read_weights
from support.furnace_jobs import job_text, jobs_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a furnace with a training set of one small slice, its noise, and a validation slice."""
    folder = tmp_path_factory.mktemp("furnace")
    y, x = np.mgrid[:64, :64] - 32.0
    hu = np.where(np.hypot(y, x) < 24, 40.0, -1000.0) + np.random.default_rng(0).normal(0, 12, (64, 64))
    volume = Volume(hu[None].astype(np.float32), Geometry((3.0, 3.0, 3.0)), Acquisition(thickness_mm=3.0))
    volume.save(folder / "scan.npz")
    write_pack([folder / "scan.npz"], folder / "training_set.pack", "none", "full")
    (folder / "validation_set").mkdir()
    index = [{"patient": "A", "file": "0.npz", "pixel_mm": 3.0, "real": False, "neighbours": True}]
    (folder / "validation_set/index.json").write_text(json.dumps(index))
    whole = hu.round().astype(np.int16)
    np.savez(folder / "validation_set/0.npz", low=np.stack([whole] * 3), full=whole + 1)
    return folder


def furnace_of(tmp_path: Path, prepared: Path) -> Furnace:
    """Return a new furnace with the same data."""
    furnace = Furnace(tmp_path / "furnace")
    for name in ("training_set.pack", "validation_set"):
        (furnace.folder / name).symlink_to(prepared / name)
    return furnace


def run_to_the_end(furnace: Furnace, jobs: Path) -> None:
    copy_code(furnace)
    Runner(furnace, lambda: load_jobs(jobs)).run()


def assert_same_weights(one: Path, other: Path) -> None:
    """Check that headers and weights are equal to the last bit; the order of a header's entries is random."""
    first, second = read_weights(one), read_weights(other)
    assert first.header == second.header
    assert all(torch.equal(value, second.tensors[name]) for name, value in first.tensors.items())


@pytest.mark.long
def test_killed_at_a_random_moment_it_equals_the_uninterrupted_run(tmp_path: Path, prepared: Path) -> None:
    jobs = jobs_of(tmp_path, job_text("tiny", steps=120))
    whole = furnace_of(tmp_path / "whole", prepared)
    run_to_the_end(whole, jobs)
    broken = furnace_of(tmp_path / "broken", prepared)
    command = [sys.executable, "-m", "experiments.furnace", "--jobs", str(jobs), "run"]
    environment = {**os.environ, "LOWDOSE_FURNACE": str(broken.folder)}
    state, rng, kills = broken.job("tiny").state, np.random.default_rng(), 0
    while broken.job("tiny").progress().status != "done":
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        if kills < 2:
            deadline, before = time.monotonic() + 400, state.stat().st_mtime_ns if state.exists() else 0
            while time.monotonic() < deadline and (not state.exists() or state.stat().st_mtime_ns == before):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
            trainer = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
            for number in [process.pid, *map(int, trainer)]:
                os.kill(number, signal.SIGKILL)
            kills += 1
        process.wait(timeout=600)
    assert kills == 2
    assert "goes on after" in broken.log.read_text()
    assert_same_weights(broken.job("tiny").model, whole.job("tiny").model)
    assert_same_weights(broken.job("tiny").best, whole.job("tiny").best)
    assert [row["psnr_gain"] for row in broken.job("tiny").validations()] == [
        row["psnr_gain"] for row in whole.job("tiny").validations()
    ]


@pytest.mark.long
def test_a_damaged_state_is_replaced_by_the_one_before_and_a_changed_recipe_blocks(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "REST_SECONDS", 0.0)
    furnace = furnace_of(tmp_path, prepared)
    jobs = jobs_of(tmp_path, job_text("tiny", steps=6))
    run_to_the_end(furnace, jobs)
    folder = furnace.job("tiny")
    # Longer by two steps it is another recipe: the job is blocked, the next one is done.
    folder.save(Progress(hours=1.0))
    run_to_the_end(furnace, jobs_of(tmp_path, job_text("tiny", steps=8), job_text("other", steps=2)))
    progress = folder.progress()
    assert progress.status == "blocked"
    assert progress.hours >= 1.0
    assert "steps was 6, now 8" in progress.message
    assert "'restart' begins anew" in progress.message
    assert furnace.job("other").progress().status == "done"
    # A state that was cut short: the one before takes its place.
    folder.save(Progress(hours=1.0))
    folder.state.write_bytes(folder.state.read_bytes()[:1000])
    run_to_the_end(furnace, jobs_of(tmp_path, job_text("tiny", steps=6)))
    assert folder.progress().status == "done"
    assert folder.state.with_suffix(".damaged").exists()
    # Without one before, the job is blocked and says how it begins anew.
    folder.save(Progress(hours=1.0))
    folder.previous_state.unlink()
    folder.state.write_bytes(b"damaged")
    run_to_the_end(furnace, jobs_of(tmp_path, job_text("tiny", steps=6)))
    assert folder.progress().status == "blocked"
    assert "damaged training state" in folder.progress().message
