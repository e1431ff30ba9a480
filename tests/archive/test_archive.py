"""An archive without Ray: what is found in it, what a worker does with it, what the ledger remembers."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread

from lowdose.archive.find_series import ArchiveContents, folders_with_files, series_in_folder
from lowdose.archive.ledger import DONE, QUARANTINED, STARTED, Ledger, LedgerEntry, key_of
from lowdose.archive.run import _todo
from lowdose.archive.settings import ArchiveOptions, ArchiveSettings
from lowdose.archive.worker import ATTEMPTS, BACKOFF_S, Worker
from lowdose.errors import InvalidSetting, NotCT, OutputRefused
from lowdose.infer import pipeline
from lowdose.io.dicom.series import DicomSource
from lowdose.io.dicom.series_identity import uid_of
from support import small_archive
from support.archive_without_ray import denoise_here
from support.small_archive import Archive
from support.synthetic_dicom import make_series


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return small_archive.build(tmp_path_factory.mktemp("archive") / "in")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_archive.model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def found_in(root: Path) -> ArchiveContents:
    return ArchiveContents.of(row for place in folders_with_files(root) for row in series_in_folder(place))


def ledger_at(out: Path, settings: dict[str, object] | None = None) -> Ledger:
    ledger = Ledger(out)
    out.mkdir(exist_ok=True)
    ledger.check(settings or {"model": "tiny"})
    ledger.begin(settings or {"model": "tiny"})
    return ledger


def rows_of(found: ArchiveContents, uids: object) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        rows = _todo(found, Ledger(Path(folder)), ArchiveOptions())
    return [row for row in rows if row["series"] in uids]  # type: ignore[operator]


def a_worker(archive: Archive, out: Path, model: Path, slept: list[float] | None = None) -> Worker:
    threads = torch.get_num_threads()
    try:
        made = Worker(
            str(archive.root), str(out), ArchiveSettings(model=str(model), engine="torch"), (slept or []).append
        )
    finally:
        torch.set_num_threads(threads)
    if slept is not None:
        made._sleep = slept.append
    return made


def test_every_series_is_found_once_wherever_its_files_lie(archive: Archive) -> None:
    found = found_in(archive.root)
    assert {one.uid for one in found.series.values()} == set(archive.good) | archive.bad
    by_folders = sorted(one.folders for one in found.series.values())
    assert by_folders.count(["both/a"]) == 2
    assert ["spread/one", "spread/two"] in by_folders
    assert list(found.faults) == ["torn"]
    assert str(archive.root) not in found.faults["torn"]
    assert found.others == 1
    keys = [one.key for one in found.series.values()]
    assert len(set(keys)) == len(keys)


def test_series_are_told_apart_as_by_denoise(tmp_path: Path, model: Path) -> None:
    """Without a UID by folder, and by patient where two patients share a UID."""
    for uid in ("", "1.2.3.9"):
        for patient in "AB":
            made = make_series(tmp_path / "in" / f"{uid}-{patient}", 2, after=partial(of_patient, patient, uid))
            shutil.copy(made[0], made[0].with_name("copy.dcm"))
    found, ledger = found_in(tmp_path / "in"), ledger_at(tmp_path / "out")
    assert len(found.series) == len({one.key for one in found.series.values()}) == 4
    assert {uid_of(one.uid) for one in found.series.values()} == {"", "1.2.3.9"}
    work = Worker(str(tmp_path / "in"), str(tmp_path / "out"), ArchiveSettings(model=str(model), engine="torch"))
    for row in rows_of(found, found.series):
        entry = work(row)
        assert (entry["state"], entry["slices"], entry["reason"]) == (DONE, 2, "")
        assert ledger.complete(str(row["result"]), str(row["series"])) == 2
        made = [dcmread(path) for path in (ledger.out / str(row["result"])).glob("*.dcm")]
        assert len({header.PatientID for header in made}) == 1
        assert {header.StudyInstanceUID for header in made} == {f"1.2.{ord(made[0].PatientID)}"}


def of_patient(patient: str, uid: str, ds: Any, index: int) -> None:
    ds.PatientID, ds.PatientName, ds.StudyInstanceUID = patient, patient, f"1.2.{ord(patient)}"
    ds.SeriesInstanceUID = uid


def test_good_series_are_done_and_bad_ones_quarantined_with_their_reason(
    archive: Archive, model: Path, tmp_path: Path
) -> None:
    ledger, found = ledger_at(tmp_path / "out"), found_in(archive.root)
    work = a_worker(archive, tmp_path / "out", model)
    for row in rows_of(found, set(archive.good) | archive.bad):
        work(row)
    entries = {entry.series: entry for entry in ledger.all()}
    assert {uid for uid, entry in entries.items() if entry.state == DONE} == set(archive.good)
    assert {uid for uid, entry in entries.items() if entry.state == QUARANTINED} == archive.bad
    for uid, slices in archive.good.items():
        entry = entries[uid]
        assert entry.slices == slices
        assert ledger.complete(entry.place, uid) == slices
        assert len(DicomSource(ledger.out / entry.place)) == slices
    reasons = " ".join(entries[uid].reason for uid in archive.bad)
    for told in ("truncated", "RescaleSlope missing", "header ends early"):
        assert told in reasons
    assert str(archive.root) not in reasons
    everything = "".join(path.read_text() for path in ledger.entries.glob("*/*"))
    assert "SECRET" not in everything
    assert not list((ledger.out / "series").rglob(".*"))


def test_finished_series_are_skipped_and_quarantined_ones_retried_on_request(
    archive: Archive, model: Path, tmp_path: Path
) -> None:
    ledger, found = ledger_at(tmp_path / "out"), found_in(archive.root)
    work = a_worker(archive, tmp_path / "out", model)
    for row in rows_of(found, set(archive.good) | archive.bad):
        work(row)
    assert _todo(found, ledger, ArchiveOptions()) == []
    assert {row["series"] for row in _todo(found, ledger, ArchiveOptions(retry=True))} == archive.bad
    gone = next(uid for uid in archive.good)
    entry = ledger.read(key_of(gone, ""))
    assert entry is not None
    shutil.rmtree(ledger.out / entry.place)
    assert [row["series"] for row in _todo(found, ledger, ArchiveOptions())] == [gone]


def test_the_longest_series_are_begun_first(tmp_path: Path) -> None:
    for number, slices in enumerate((2, 5, 1, 3)):
        make_series(tmp_path / "in" / f"{number}", slices, size=16, series=f"1.2.3.{number}")
    todo = _todo(found_in(tmp_path / "in"), Ledger(tmp_path / "out"), ArchiveOptions())
    assert [row["folders"] for row in todo] == [["1"], ["3"], ["0"], ["2"]]


def test_temporary_errors_are_retried_with_doubling_delays(
    archive: Archive, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, slept, failures = (
        ledger_at(tmp_path / "out"),
        list[float](),
        [OSError(28, "No space left"), MemoryError(), OutputRefused("x: disk full")],
    )
    work = a_worker(archive, tmp_path / "out", model, slept)
    whole = pipeline.denoise_series

    def failing(*given: object) -> object:
        if failures:
            raise failures.pop()
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "denoise_series", failing)
    (row,) = rows_of(found_in(archive.root), {next(iter(archive.good))})
    entry = work(row)
    assert (entry["state"], entry["attempts"], entry["reason"]) == (DONE, 4, "")
    assert slept == [BACKOFF_S, 2 * BACKOFF_S, 4 * BACKOFF_S]
    assert len(list(ledger.out.rglob("series-*"))) == 1


def test_persistent_errors_end_in_quarantine(
    archive: Archive, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, slept = ledger_at(tmp_path / "out"), list[float]()
    work = a_worker(archive, tmp_path / "out", model, slept)

    def failing(*_: object) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pipeline, "denoise_series", failing)
    (row,) = rows_of(found_in(archive.root), {next(iter(archive.good))})
    entry = work(row)
    assert (entry["state"], entry["attempts"]) == (QUARANTINED, ATTEMPTS)
    assert "Input/output error" in entry["reason"]
    assert not list(ledger.out.rglob("series-*"))


def test_bad_data_and_bugs_are_not_retried(
    archive: Archive, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger_at(tmp_path / "out")
    slept: list[float] = []
    work = a_worker(archive, tmp_path / "out", model, slept)
    rows = rows_of(found_in(archive.root), archive.good)
    for row, error in zip(rows, (NotCT("not HU"), ZeroDivisionError("ours")), strict=False):

        def failing(*_: object, error: Exception = error) -> object:
            raise error

        monkeypatch.setattr(pipeline, "denoise_series", failing)
        entry = work(row)
        assert (entry["state"], entry["attempts"]) == (QUARANTINED, 1)
        assert str(error) in entry["reason"]
    assert slept == []


def test_a_worker_that_died_leaves_nothing_and_nothing_is_done_twice(
    archive: Archive, model: Path, tmp_path: Path
) -> None:
    ledger, found = ledger_at(tmp_path / "out"), found_in(archive.root)
    work = a_worker(archive, tmp_path / "out", model, [])
    first, second, third = rows_of(found, archive.good)[:3]
    # In the middle: a hidden folder is there, and the ledger says 'started'.
    result = ledger.out / str(first["result"])
    half = result.with_name(f".{result.name}.partial-1234")
    half.mkdir(parents=True)
    ledger.write(LedgerEntry(str(first["key"]), str(first["series"]), ("x",), STARTED, 1))
    entry = work(first)
    assert (entry["state"], entry["attempts"]) == (DONE, 2)
    assert not half.exists()
    # Between the folder and the ledger: the folder is whole, nobody noted it.
    work(second)
    made = ledger.out / str(second["result"])
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    ledger.write(LedgerEntry(str(second["key"]), str(second["series"]), ("x",), STARTED, 1))
    entry = work(second)
    assert (entry["state"], entry["attempts"], entry["slices"]) == (DONE, 1, archive.good[str(second["series"])])
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before
    # Again and again: a series that kills whoever touches it must not do so for ever.
    ledger.write(LedgerEntry(str(third["key"]), str(third["series"]), ("x",), STARTED, ATTEMPTS))
    entry = work(third)
    assert entry["state"] == QUARANTINED
    assert "worker died" in entry["reason"]


def test_other_settings_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    ledger_at(tmp_path / "out")
    ledger_at(tmp_path / "out")
    with pytest.raises(OutputRefused, match="model was tiny, now other"):
        ledger_at(tmp_path / "out", {"model": "other"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(OutputRefused, match="holds something else"):
        ledger_at(tmp_path / "full")
    (tmp_path / "out" / "settings.json").write_text("{ torn")
    with pytest.raises(OutputRefused, match="choose a new folder"):
        ledger_at(tmp_path / "out")


def test_incomplete_ledger_entries_count_as_missing(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "out")
    ledger.write(LedgerEntry("0" * 16, "1.2", ("a",), DONE, 1))
    assert [entry.key for entry in ledger.all()] == ["0" * 16]
    ledger.note("0" * 16).write_text(json.dumps({"key": 1}))
    assert list(ledger.all()) == []
    assert ledger.complete("series/a", "1.2") is None


@pytest.mark.parametrize("given", [{"dose": 0.5}, {"texture": "smooth"}])
def test_a_model_that_decides_itself_refuses_dose_and_texture_before_any_series(given: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting, match="decides itself how much noise remains"):
        ArchiveSettings(model="gaussian", **given).load()  # type: ignore[arg-type]


def test_sizes_that_a_series_does_not_state_can_be_given(tmp_path: Path) -> None:
    small_archive.series(tmp_path / "in" / "bare", 1)
    for file in (tmp_path / "in" / "bare").iterdir():
        header = dcmread(file)
        del header.PixelSpacing, header.SliceThickness
        header.save_as(file)
    small_archive.series(tmp_path / "in" / "stated", 2)
    settings = ArchiveSettings("gaussian", pixel=0.8, thickness=1.5)
    assert denoise_here(tmp_path / "in", tmp_path / "out", settings, []).done == 2
    measured = {}
    for file in (tmp_path / "out").rglob("manifest.json"):
        measured[file.parent.parent.name] = json.loads(file.read_text())["measured"]
    assert [measured[name]["pixel_mm"] for name in ("bare", "stated")] == [0.8, 3.0]
    assert [measured[name]["thickness_mm"] for name in ("bare", "stated")] == [1.5, 3.0]
    with pytest.raises(OutputRefused, match=r"pixel was 0\.8, now None"):
        denoise_here(tmp_path / "in", tmp_path / "out", ArchiveSettings("gaussian", thickness=1.5), [])
    with pytest.raises(InvalidSetting, match="--pixel 9: must be a number of mm"):
        denoise_here(tmp_path / "in", tmp_path / "other", ArchiveSettings("gaussian", pixel=9.0), [])
