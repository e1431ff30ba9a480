"""The queue of the furnace: whose turn it is, locks and pauses, lists of jobs, and what a full disk does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiments.furnace import state, transfer, turn
from experiments.furnace.jobs import BadJobs, find_job, load_jobs
from experiments.furnace.priority import lowest_priority
from experiments.furnace.runner import Runner, choose, restart, retry
from experiments.furnace.state import Busy, Furnace, Progress, locked
from experiments.furnace.turn import last_line

from support.furnace_jobs import job_text, jobs_of


def test_short_jobs_come_first_then_those_with_the_fewest_hours_for_their_share(tmp_path: Path) -> None:
    furnace = Furnace(tmp_path / "furnace")
    texts = [job_text("a"), job_text("b", more="share = 2"), job_text("c", more="short = true")]
    jobs = load_jobs(jobs_of(tmp_path, *texts))
    assert choose(jobs, furnace).name == "c"
    furnace.job("c").save(Progress(status="done"))
    furnace.job("a").save(Progress(hours=1.0))
    furnace.job("b").save(Progress(hours=1.5))
    assert choose(jobs, furnace).name == "b"
    furnace.job("b").save(Progress(hours=2.5))
    assert choose(jobs, furnace).name == "a"
    furnace.job("a").save(Progress(status="blocked"))
    furnace.job("b").save(Progress(status="done"))
    assert choose(jobs, furnace) is None


def test_one_furnace_at_a_time_and_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    holder, other = locked(tmp_path / "lock", "the furnace"), locked(tmp_path / "lock", "the furnace")
    with holder, pytest.raises(Busy, match=f"the furnace runs already .process {os.getpid()}"), other:
        pass
    with locked(tmp_path / "lock", "the furnace"):
        pass


def test_a_pause_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    furnace = Furnace(tmp_path)
    with furnace.pause_while():
        assert furnace.paused()
    assert not furnace.paused()
    ended = subprocess.Popen(["true"])
    ended.wait()
    furnace.pause_file.write_text(f"{ended.pid}\n")
    assert not furnace.paused()
    furnace.pause_file.write_text("until resumed\n")
    assert furnace.paused()


def test_a_furnace_that_starts_paused_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnace = Furnace(tmp_path)
    furnace.pause_file.write_text("until resumed\n")
    waiting = Runner(furnace, lambda: [])
    slept = list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        waiting.stopping = len(slept) == 3

    monkeypatch.setattr(time, "sleep", sleep)
    waiting.run()
    assert len(slept) == 3


def test_a_damaged_progress_file_is_that_of_a_new_job(tmp_path: Path) -> None:
    folder = Furnace(tmp_path).job("a")
    folder.save(Progress(hours=3.0))
    assert folder.progress().hours == 3.0
    (folder.folder / "progress.json").write_text('{"hours": 3')
    assert folder.progress() == Progress()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[job]]\nname = 'a'", "missing"),
        (job_text("a") + job_text("a"), "two jobs are called 'a'"),
        (job_text("a", more="hurry = 1"), "no setting 'hurry'"),
        (job_text("a", more="share = 0"), "must be above 0"),
        (job_text("../a"), "letters, digits"),
        ("[[job", "jobs.toml"),
    ],
)
def test_a_bad_list_says_what_is_wrong(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(BadJobs, match=fault):
        load_jobs(jobs_of(tmp_path, text))


def test_a_list_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    path = jobs_of(tmp_path, job_text("a"))
    queue = Runner(Furnace(tmp_path / "furnace"), lambda: load_jobs(path))
    assert [job.name for job in queue._waiting()] == ["a"]
    path.write_text("[[job")
    assert [job.name for job in queue._waiting()] == ["a"]


def test_the_listed_jobs_are_known_to_the_command_line() -> None:
    from lowdose.recipes import get_recipe

    for job in load_jobs():
        recipe = get_recipe(job.recipe)
        settings = {name: str(value) for name, value in job.set.items()}
        recipe.hyperparameters.with_values(settings)


def test_a_job_moves_to_another_furnace(tmp_path: Path) -> None:
    job = find_job(load_jobs(jobs_of(tmp_path, job_text("a"))), "a")
    one, other = Furnace(tmp_path / "one"), Furnace(tmp_path / "other")
    with pytest.raises(transfer.CannotTransfer, match="has not begun"):
        transfer.export_job(one, job, tmp_path / "a.tar.gz")
    one.job("a").run.mkdir(parents=True)
    one.job("a").state.write_bytes(b"state")
    one.job("a").save(Progress(hours=2.0))
    transfer.export_job(one, job, tmp_path / "a.tar.gz")
    assert "after 2.00 hours" in transfer.import_job(other, job, tmp_path / "a.tar.gz")
    assert other.job("a").state.read_bytes() == b"state"
    with pytest.raises(transfer.CannotTransfer, match="has begun"):
        transfer.import_job(other, job, tmp_path / "a.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:40])
    with pytest.raises(transfer.CannotTransfer, match="cannot be read"):
        transfer.import_job(Furnace(tmp_path / "third"), job, tmp_path / "cut.tar.gz")
    assert not (tmp_path / "third/jobs/a/run").exists()


def test_a_restart_keeps_the_old_run(tmp_path: Path) -> None:
    job = find_job(load_jobs(jobs_of(tmp_path, job_text("a"))), "a")
    furnace = Furnace(tmp_path / "furnace")
    furnace.job("a").run.mkdir(parents=True)
    furnace.job("a").state.write_bytes(b"state")
    furnace.job("a").save(Progress(hours=2.0, status="blocked"))
    restart(furnace, job)
    assert not furnace.job("a").state.exists()
    assert (furnace.job("a").folder / "run-1/state.pt").read_bytes() == b"state"
    assert furnace.job("a").progress() == Progress()


def test_a_full_disk_loses_no_progress_and_a_failed_job_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Furnace(tmp_path).job("a")
    folder.save(Progress(hours=1.0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "replace_file", full)
    folder.save(Progress(hours=2.0))
    assert "No space left" in caplog.text
    assert folder.progress().hours == 1.0
    progress = Progress()
    for _ in range(5):
        turn._fail(folder, progress, "state.pt: cannot be written (No space left on device)")
    assert progress.status == "waiting"
    for _ in range(3):
        turn._fail(folder, progress, "the loss is no longer a number")
    assert progress.status == "blocked"


def test_a_job_that_failed_rests_while_others_train(tmp_path: Path) -> None:
    path = jobs_of(tmp_path, job_text("a") + job_text("b"))
    queue = Runner(Furnace(tmp_path / "furnace"), lambda: load_jobs(path))
    queue._resting["a"] = time.monotonic() + 60
    assert [job.name for job in queue._waiting()] == ["b"]
    queue._resting["a"] = time.monotonic() - 1
    assert [job.name for job in queue._waiting()] == ["a", "b"]


def test_a_blocked_job_is_opened_again_with_its_hours(tmp_path: Path) -> None:
    furnace = Furnace(tmp_path / "furnace")
    job = load_jobs(jobs_of(tmp_path, job_text("a")))[0]
    furnace.job("a").save(Progress(hours=2.0, status="blocked", failures=3))
    retry(furnace, job)
    assert furnace.job("a").progress() == Progress(hours=2.0)


def test_a_background_process_is_nice_and_so_is_its_session() -> None:
    code = "import os; print(os.nice(0), open('/proc/self/autogroup').read().split()[-1])"
    if not Path("/proc/self/autogroup").exists():
        code = "import os; print(os.nice(0), 19)"
    out = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=lowest_priority, start_new_session=True, capture_output=True, text=True
    ).stdout
    assert out.split() == ["19", "19"]


def test_the_last_line_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\n\n")
    assert last_line(tmp_path / "log") == "two"
    assert last_line(tmp_path / "none") == ""
