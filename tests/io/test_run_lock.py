"""One run at a time: live locks refuse and name their holder, those of killed runs do not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowdose.errors import OutputRefused
from lowdose.io import run_lock
from lowdose.io.run_lock import RunLock

HOLD = (
    "import sys, time; from pathlib import Path; from lowdose.io.run_lock import RunLock\n"
    "RunLock(Path(sys.argv[1]), Path('RUN')).acquire(); print('held', flush=True); time.sleep(600)"
)


@contextmanager
def holding_process(file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def lock(file: Path) -> RunLock:
    return RunLock(file, Path("RUN"))


def record(file: Path, host: str, pid: int) -> None:
    file.write_text(json.dumps({"host": host, "pid": pid, "since": "2026-01-02 03:04:05"}))


def test_a_live_process_is_named_and_a_killed_one_locks_nobody_out(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with holding_process(file) as process:
        with pytest.raises(OutputRefused, match=f"^RUN: a run on {socket.gethostname()} .process {process.pid}, since"):
            lock(file).acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert file.exists()
        with lock(file):
            assert json.loads(file.read_text())["pid"] == os.getpid()
    assert not file.exists()


def test_two_locks_of_one_process_exclude_each_other_and_the_file_goes_with_the_first(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with lock(file):
        with pytest.raises(OutputRefused, match="is writing it"):
            lock(file).acquire()
        assert file.exists()
    assert not file.exists()


def test_whoever_waits_is_told_once_and_gets_the_lock_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "POLL_S", 0.01)
    file, said = tmp_path / "lock", list[str]()
    first, second = lock(file), lock(file)
    first.acquire()
    threading.Timer(0.1, first.release).start()
    second.acquire(said.append)
    assert len(said) == 1
    assert "waiting for its end" in said[0]
    second.release()


def test_a_forked_child_neither_holds_nor_removes_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    held = lock(file)
    held.acquire()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held.release()
        os.close(writing)
        os.read(reading, 1)  # until the parent ends it
        os._exit(0)
    assert file.exists()
    held.release()
    lock(file).acquire()  # although the child lives
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "POLL_S", 0.01)
    monkeypatch.setattr(run_lock, "SILENT_S", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_silent_holder_on_another_machine_is_gone_and_one_that_touches_its_file_is_not(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    record(file, "far", 1)
    with lock(file):
        pass
    record(file, "far", 1)
    with touching(lambda: os.utime(file)), pytest.raises(OutputRefused, match=r"far .process 1, since 2026-01-02"):
        lock(file).acquire()


@contextmanager
def touching(action: Callable[[], None]) -> Iterator[None]:
    """Repeat an action while the block lasts."""
    end = threading.Event()

    def repeat() -> None:
        while not end.wait(0.01):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_without_locks_of_the_file_system_the_process_number_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(run_lock.fcntl, "flock", no_locks)
    file, ended = tmp_path / "lock", subprocess.Popen(["true"])
    ended.wait()
    record(file, socket.gethostname(), ended.pid)
    with lock(file):
        pass
    record(file, socket.gethostname(), os.getppid())
    with pytest.raises(OutputRefused, match=f"process {os.getppid()}"):
        lock(file).acquire()


def test_a_holder_touches_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT_S", 0.01)
    file = tmp_path / "lock"
    with lock(file):
        os.utime(file, (0, 0))
        assert wait_until(lambda: file.stat().st_mtime > 0)


def wait_until(done: Callable[[], bool]) -> bool:
    end = threading.Event()
    return any(done() or end.wait(0.01) for _ in range(500))
