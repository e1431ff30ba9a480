"""An archive with Ray, two workers on this machine: whole, resumed, and with a worker killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowdose import cli
from lowdose.archive.cluster import allocate_workers
from lowdose.archive.ledger import DONE, Ledger
from lowdose.archive.run import denoise_archive
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.errors import InvalidSetting, NothingToRead, OutputRefused
from lowdose.io.dicom.series import DicomSource
from support import small_archive

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
TWO = ArchiveOptions(jobs=2)


@pytest.fixture(scope="module", autouse=True)
def two_processors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local Ray for all tests of this file: starting it takes seconds."""
    os.environ["LOWDOSE_CACHE"] = str(tmp_path_factory.getbasetemp() / "cache")  # workers inherit it from here
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 << 20)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ArchiveSettings:
    made = small_archive.model(tmp_path_factory.mktemp("model") / "tiny.safetensors")
    return ArchiveSettings(model=str(made), engine="torch")


def test_every_good_series_is_denoised_though_all_workers_are_killed_and_a_second_run_does_nothing(
    settings: ArchiveSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive, slices = small_archive.build(tmp_path / "in"), 120
    for seed in (8, 9):  # the longest, so that both workers begin with them
        archive.good[small_archive.series(tmp_path / "in" / f"long{seed}", seed, slices)] = slices
    ledger, killed = Ledger(tmp_path / "out"), list[int]()

    def kill() -> None:
        """Every worker, as soon as one has a series half done."""
        for _ in range(20_000):
            half = [path for path in ledger.out.rglob(".*.partial-*") if len(list(path.glob("*.dcm"))) > 5]
            if half:
                killed.extend(workers())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    command = ["denoise", str(archive.root), "--out", str(ledger.out), "--ray", "--jobs", "2"]
    command += ["--model", str(settings.model), "--engine", "torch"]
    assert cli.run(command) == 3  # done, but for those in quarantine
    thread.join()
    assert killed
    said = capfd.readouterr().err
    assert "7 done, 3 in quarantine, 0 left" in said
    assert "slices/s" in said
    assert "12 found: 7 done, 4 in quarantine, 1 skipped" in said
    entries = list(ledger.all())
    assert max(entry.attempts for entry in entries) == 2  # one at least was in the middle
    done = {entry.series: entry for entry in entries if entry.state == DONE}
    assert set(done) == set(archive.good)
    assert results(ledger.out) == sorted(entry.place for entry in done.values())
    for uid, entry in done.items():
        assert len(DicomSource(ledger.out / entry.place)) == archive.good[uid]
    before = {path: path.stat().st_mtime_ns for path in (ledger.out / "series").rglob("*")}
    second = denoise_archive(archive.root, ledger.out, settings, TWO, print)
    assert (second.done, second.quarantined, second.slices) == (7, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in (ledger.out / "series").rglob("*")} == before
    other = ArchiveSettings(model=settings.model, engine="torch", strength=0.5)
    with pytest.raises(OutputRefused, match=r"strength was 1\.0, now 0\.5"):
        denoise_archive(archive.root, ledger.out, other, TWO, print)


def results(out: Path) -> list[str]:
    """Everything that is or may become a result."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*series-*"))


def workers() -> list[int]:
    """Process numbers of the workers that denoise for this process, not of those of somebody else's Ray."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::MapWorker(Map(Worker))") and os.getpid() in ancestors(int(folder.name)):
            found.append(int(folder.name))
    return found


def ancestors(pid: int) -> Iterator[int]:
    """Yield the process numbers of the parent, its parent, and so on."""
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])
        yield pid


def test_impossible_requests_are_refused_before_any_worker_starts(settings: ArchiveSettings, tmp_path: Path) -> None:
    with pytest.raises(NothingToRead, match="not a folder"):
        denoise_archive(tmp_path / "none", tmp_path / "out", settings, TWO, print)
    with pytest.raises(OutputRefused, match="lies inside the archive"):
        denoise_archive(tmp_path, tmp_path / "out", settings, TWO, print)
    with pytest.raises(InvalidSetting, match="--jobs -1"):
        denoise_archive(tmp_path, tmp_path.parent / "out", settings, ArchiveOptions(jobs=-1), print)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToRead, match="empty"):
        denoise_archive(tmp_path / "empty", tmp_path / "out", settings, TWO, print)
    if not ray.cluster_resources().get("GPU"):
        with pytest.raises(InvalidSetting, match="no GPU"):
            allocate_workers(ray, ArchiveSettings(device="cuda"), TWO, 1)
