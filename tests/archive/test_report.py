"""What a user finds after a run: results in the archive's own folders, an index, numbers that add up, no names."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from lowdose import cli
from lowdose.archive.ledger import STARTED, Ledger, LedgerEntry, result_place
from lowdose.archive.report import without_names
from lowdose.archive.settings import ArchiveSettings
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, NothingToRead, OutputRefused
from lowdose.io.atomic import AtomicFolder
from lowdose.io.dicom.series import DicomSource
from lowdose.io.locked_folder import locked_folder
from support import small_archive
from support.archive_without_ray import denoise_here
from support.small_archive import Archive
from support.synthetic_dicom import make_series


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return small_archive.build(tmp_path_factory.mktemp("archive") / "in")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ArchiveSettings:
    made = small_archive.model(tmp_path_factory.mktemp("model") / "tiny.safetensors")
    return ArchiveSettings(model=str(made), engine="torch")


@pytest.fixture(scope="module")
def finished(archive: Archive, settings: ArchiveSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    denoise_here(archive.root, out, settings, [])
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_a_series_outside_the_range_of_the_model_is_quarantined_when_strict(
    tmp_path: Path, settings: ArchiveSettings
) -> None:
    small_archive.series(tmp_path / "in" / "axial", 0)
    make_series(tmp_path / "in" / "other", before=lambda ds, i: turn(ds, i))
    summary = denoise_here(tmp_path / "in", tmp_path / "out", replace(settings, strict=True), [])
    assert (summary.done, summary.quarantined) == (1, 1)
    (row,) = table(tmp_path / "out" / "quarantine.csv")
    assert row["reason"].startswith("refused by --strict: the slices are sagittal")
    with pytest.raises(OutputRefused, match="strict was True, now None"):
        denoise_here(tmp_path / "in", tmp_path / "out", settings, [])


def turn(ds: Any, index: int) -> None:
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [2 * index, -20, 30]


def test_a_scale_is_for_the_images_that_state_none(tmp_path: Path, settings: ArchiveSettings) -> None:
    make_series(tmp_path / "in" / "sound", series="1.2.1")
    make_series(tmp_path / "in" / "without", series="1.2.2", after=lambda ds, i: delattr(ds, "RescaleSlope"))
    made = replace(settings, rescale=(1.0, -1000.0), strength=0.0)
    assert denoise_here(tmp_path / "in", tmp_path / "out", made, []).done == 2
    for source, intercept in (("sound", -1024.0), ("without", -1000.0)):
        derived = (tmp_path / "out" / "series" / source).rglob("*.dcm")
        assert [float(dcmread(path).RescaleIntercept) for path in derived] == [intercept] * 4
    with pytest.raises(InvalidSetting, match="a slope of 0"):
        denoise_here(tmp_path / "in", tmp_path / "more", replace(settings, rescale=(0.0, 0.0)), [])


@pytest.mark.parametrize("name", ["a.tar", "b.TAR.GZ", "c.nrrd", "d.mha", "e.hdr", "f.dcm.gz", "g.nii.gz", "h.npy"])
def test_files_of_other_formats_are_counted(name: str, tmp_path: Path, settings: ArchiveSettings) -> None:
    small_archive.series(tmp_path / "in", 0)
    for other in (name, f".{name}", "notes.txt.gz"):
        (tmp_path / "in" / other).write_bytes(b"\x1f\x8b")
    summary = denoise_here(tmp_path / "in", tmp_path / "out", settings, said := [])
    assert (summary.done, summary.skipped) == (1, 1)
    assert any("1 file of other formats, listed in index.csv" in line for line in said)


def test_everything_found_is_done_in_quarantine_or_skipped(archive: Archive, finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    # Five good series; three bad ones and a folder in which nothing can be read; a zip file.
    assert (summary["found"], summary["done"], summary["quarantined"], summary["skipped"]) == (10, 5, 4, 1)
    assert Counter(row["state"] for row in table(finished / "index.csv")) == {"done": 5, "quarantined": 4, "skipped": 1}
    assert [row["source"] for row in table(finished / "index.csv") if row["state"] == "skipped"] == [
        "patient0/copy.zip"
    ]


def test_the_index_leads_from_each_series_to_its_result(archive: Archive, finished: Path) -> None:
    done = {row["series"]: row for row in table(finished / "index.csv") if row["state"] == "done"}
    assert set(done) == set(archive.good)
    for uid, row in done.items():
        assert len(DicomSource(finished / row["result"])) == archive.good[uid] == int(row["slices"])
    places = sorted(row["result"].rpartition("/")[0] for row in done.values())
    assert places == [f"series/{folder}" for folder in ("both/a", "both/a", "patient0/ct", "patient1/ct", "spread")]
    folders = [path for path in finished.rglob("*") if path.is_dir()]
    assert len(folders) <= 5 + 8 + 2 + 9  # results, what holds them, series/ and ledger/, shelves of the ledger


def test_quarantine_can_be_passed_on(archive: Archive, settings: ArchiveSettings, tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(archive.root / "short", root / "DOE^JANE" / "SECRET scan")
    denoise_here(root, out, settings, [])
    text = (out / "quarantine.csv").read_text()
    assert "DOE" not in text
    assert "SECRET" not in text
    (row,) = table(out / "quarantine.csv")
    assert row["reason"].startswith("FILE: truncated, ")
    assert row["key"] == next(row["key"] for row in table(out / "index.csv"))
    denoise_here(root, out, settings, [], quarantine_folders=True)
    (row,) = table(out / "quarantine.csv")
    assert row["folders"] == "DOE^JANE/SECRET scan"
    assert "DOE^JANE/SECRET scan/00002.dcm: truncated" in row["reason"]


def test_names_in_a_reason_are_those_of_the_archive_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("1", "1.dcm", "CT"):
        (tmp_path / "a" / name).write_text("")
        (tmp_path / name).write_text("")
    said = "a/1.dcm and a/1: 1 of 2 CT images in a are a/12"
    assert without_names(said, tmp_path, ["a"]) == "FILE and FILE: 1 of 2 CT images in FOLDER are a/12"
    assert without_names("1.dcm: torn", tmp_path, ["."]) == "FILE: torn"
    assert without_names("a/x: torn", tmp_path, ["gone"]) == "a/x: torn"


def test_results_lie_in_the_folders_of_the_archive_or_under_hashes(
    archive: Archive, settings: ArchiveSettings, tmp_path: Path
) -> None:
    key = "0123456789abcdef"
    assert result_place(key, ["p1/ct"], hashed=False) == "series/p1/ct/series-01234567"
    assert result_place(key, ["p1/a", "p1/b/c"], hashed=False) == "series/p1/series-01234567"
    assert result_place(key, ["."], hashed=False) == "series/series-01234567"
    assert result_place(key, [".", "a"], hashed=False) == "series/series-01234567"
    assert result_place(key, ["p1/ct"], hashed=True) == f"series/01/{key}"
    denoise_here(archive.root, tmp_path / "out", settings, [], hashed_names=True)
    assert not list((tmp_path / "out" / "series").rglob("patient0"))
    assert len(list((tmp_path / "out" / "series").glob("*/*/manifest.json"))) == 5


def test_a_result_keeps_its_place_when_files_of_the_series_are_added_or_go(
    archive: Archive, settings: ArchiveSettings, tmp_path: Path
) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(archive.root / "patient0" / "ct", root / "p" / "ct")
    denoise_here(root, out, settings, [])
    (before,) = table(out / "index.csv")
    (root / "p" / "more").mkdir()
    shutil.move(sorted((root / "p" / "ct").iterdir())[0], root / "p" / "more")
    summary = denoise_here(root, out, settings, [], hashed_names=True)
    assert (summary.done, summary.slices) == (1, 0)
    assert [row["result"] for row in table(out / "index.csv")] == [before["result"]]
    shutil.rmtree(root / "p")
    shutil.copytree(archive.root / "patient1" / "ct", root / "p" / "ct")
    summary = denoise_here(root, out, settings, [])
    assert (summary.found, summary.done) == (1, 1)
    assert {row["state"]: row["result"] for row in table(out / "index.csv")}["gone"] == before["result"]


def test_a_quarantine_that_was_repaired_away_is_over(
    archive: Archive, settings: ArchiveSettings, tmp_path: Path
) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(archive.root / "torn", root / "torn")
    assert denoise_here(root, out, settings, []).quarantined == 1
    shutil.rmtree(root / "torn")
    shutil.copytree(archive.root / "patient0" / "ct", root / "torn")
    summary = denoise_here(root, out, settings, [])
    assert (summary.found, summary.done, summary.quarantined) == (1, 1, 0)


def test_names_that_are_no_text_come_through(archive: Archive, settings: ArchiveSettings, tmp_path: Path) -> None:
    odd = os.fsdecode(b"M\xfcller")  # latin-1 on a UTF-8 machine
    shutil.copytree(archive.root / "patient0" / "ct", tmp_path / "in" / odd)
    shutil.copytree(archive.root / "short", tmp_path / "in" / odd / "short")
    summary = denoise_here(tmp_path / "in", tmp_path / "out", settings, [], quarantine_folders=True)
    assert (summary.done, summary.quarantined) == (1, 1)
    (result,) = (row["result"] for row in table(tmp_path / "out" / "index.csv") if row["state"] == "done")
    assert len(DicomSource(tmp_path / "out" / result)) == 3


def test_a_run_with_nothing_to_do_loads_neither_pytorch_nor_ray_and_says_that_something_is_in_quarantine(
    archive: Archive, settings: ArchiveSettings, finished: Path
) -> None:
    again = ["denoise", str(archive.root), "--out", str(finished), "--ray", "--model", str(settings.model)]
    code = f"import sys; from lowdose import cli; print(cli.run({again!r}), *({{'torch', 'ray'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n", done.stderr
    assert "10 found: 5 done, 4 in quarantine, 1 skipped; 0 slices" in done.stderr
    assert not (finished / ".lock").exists()


def test_a_second_run_into_the_same_results_is_refused_and_leaves_them_alone(
    archive: Archive, settings: ArchiveSettings, finished: Path, tmp_path: Path
) -> None:
    before = (finished / "index.csv").stat().st_mtime_ns
    with (
        locked_folder(finished, ()),
        pytest.raises(OutputRefused, match=rf"process {os.getpid()}, since .* is writing"),
    ):
        denoise_here(archive.root, finished, settings, [])
    assert (finished / "index.csv").stat().st_mtime_ns == before


def test_a_run_that_cannot_begin_leaves_no_results(archive: Archive, settings: ArchiveSettings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToRead, match="empty"):
        denoise_here(tmp_path / "empty", tmp_path / "new" / "out", settings, [])
    with pytest.raises(IncompatibleCheckpoint, match="no model 'fest'"):
        denoise_here(archive.root, tmp_path / "new" / "out", ArchiveSettings(model="fest"), [])
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_quick_identity_is_that_of_the_loaded_model(settings: ArchiveSettings) -> None:
    loaded, quick = settings.load(), settings.identity()
    assert (quick["model"], quick["sha256"]) == (loaded.name, loaded.sha256)
    assert ArchiveSettings(model="gaussian").identity()["model"] == "gaussian"


def test_archive_options_need_an_archive(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--hashed-names", "--quarantine-folders"):
        assert cli.run(["denoise", str(archive.root / "patient0"), "--out", "never", option]) == 2
        assert f"{option}: is for an archive; add --ray" in capsys.readouterr().err


def test_what_a_dead_worker_left_is_cleared_and_a_live_one_is_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for state in ("dead", "live"):
        ledger.write(LedgerEntry(state * 4, "1.2", ("p",), STARTED, 1, result=f"series/p/{state}"))
    half = tmp_path / "series" / "p" / ".dead.partial-77"
    half.mkdir(parents=True)
    (half.parent / ".dead.lock").write_text("")
    live = AtomicFolder(tmp_path / "series" / "p" / "live")
    live.open()
    for state in ("dead", "live"):
        ledger.clear(state * 4)
    assert sorted(path.name for path in half.parent.iterdir()) == [".live.lock", live.path.name]
    live.discard()
