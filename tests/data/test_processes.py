"""Processes that share work do not outlive the one that started them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

FOREVER = """
import os, sys, time
from lowdose.data.processes import in_processes

def work(number, advance):
    open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
    for step in range(6000):
        time.sleep(0.05)
        advance(step, 6000)

in_processes(2, work, lambda *_: None)
"""


@pytest.mark.slow
def test_no_process_goes_on_after_the_one_that_started_it_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", FOREVER, str(tmp_path)])
    assert within(60, lambda: len(list(tmp_path.iterdir())) == 2)
    parent.kill()
    parent.wait()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert within(30, lambda: not any(is_running(pid) for pid in pids))


def within(seconds: float, done: object) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
