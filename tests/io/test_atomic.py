"""Output that appears whole or not at all, and failures blamed on what failed."""

from __future__ import annotations

import errno
import logging
import os

import pytest

from lowdose.errors import OutputRefused
from lowdose.io.atomic import (
    AtomicFiles,
    AtomicFolder,
    lies_inside,
    new_folder,
    refuse_existing_file,
    refuse_existing_folder,
)
from lowdose.io.atomic_replace import replace_file


def fill(folder: AtomicFolder) -> None:
    folder.open()
    (folder.path / "a").write_text("x")
    folder.commit()
    folder.discard()


def test_an_empty_folder_in_a_closed_one_is_filled_from_inside(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    place = (tmp_path / "out").stat().st_ino
    monkeypatch.setattr(os, "access", lambda path, _: path == tmp_path / "out")
    fill(AtomicFolder(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert (tmp_path / "out").stat().st_ino == place


def test_a_closed_folder_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    for refuse in (refuse_existing_file, refuse_existing_folder):
        with pytest.raises(OutputRefused, match=r"out: cannot be written \(Permission denied\)"):
            refuse(tmp_path / "new" / "out")


def test_folders_made_on_the_way_go_with_a_failure(tmp_path):
    with pytest.raises(ValueError), new_folder(tmp_path / "new" / "deep" / "out"):  # noqa: PT011
        raise ValueError
    files = AtomicFiles(tmp_path / "new" / "deep" / "a.nii")
    files.add(tmp_path / "new" / "deep" / "a.nii").write_text("x")
    files.add(tmp_path / "new" / "deep" / "a.json")
    files.discard()
    assert not list(tmp_path.iterdir())
    fill(AtomicFolder(tmp_path / "new" / "deep" / "out"))
    assert (tmp_path / "new" / "deep" / "out" / "a").exists()


def test_what_cannot_be_read_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(PermissionError), new_folder(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "in" / "a.dcm"))
    with pytest.raises(OutputRefused, match=r"out: cannot be written \(No space"), new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputRefused, match="out: cannot be written"), new_folder(tmp_path / "out") as folder:
        (folder / "absent" / "a").write_text("x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_killed_run_left_is_removed_and_said(tmp_path, monkeypatch, caplog, inside):
    out = tmp_path / "out"
    place = out if inside else tmp_path
    if inside:
        out.mkdir()
        monkeypatch.setattr(os, "access", lambda path, _: path == out)
    left = place / ".out.partial-0a1b"
    left.mkdir()
    (left / "00001.dcm").write_text("half")
    (place / ".out.lock").write_text("")
    if not inside:
        (tmp_path / ".out2.partial-0a1b").mkdir()  # of another output
    with caplog.at_level(logging.INFO, "lowdose"):
        fill(AtomicFolder(out))
    monkeypatch.undo()
    assert ".out.partial-0a1b: was left by a run that was killed; removed" in caplog.text
    assert [path.name for path in out.iterdir()] == ["a"]
    assert {path.name for path in tmp_path.iterdir()} <= {"out", ".out2.partial-0a1b"}
    half = tmp_path / ".a.nii.partial-77"
    half.write_text("half")
    files = AtomicFiles(tmp_path / "a.nii")
    files.add(tmp_path / "a.nii").write_text("x")
    files.commit()
    files.discard()
    assert not half.exists()
    assert not list(tmp_path.glob(".a.nii*"))


def test_an_output_that_another_run_writes_is_refused_at_once(tmp_path):
    first, second = AtomicFolder(tmp_path / "out"), AtomicFolder(tmp_path / "out")
    first.open()
    with pytest.raises(OutputRefused, match="is writing it"):
        second.open()
    assert first.path.exists()
    first.commit()
    first.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    one, two = AtomicFiles(tmp_path / "a.nii"), AtomicFiles(tmp_path / "a.nii")
    hidden = one.add(tmp_path / "a.nii")
    hidden.write_text("x")
    with pytest.raises(OutputRefused, match="is writing it"):
        two.add(tmp_path / "a.nii")
    two.discard()
    assert hidden.exists()
    one.discard()


def test_a_link_to_itself_is_no_place_for_an_output(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("target")
    with pytest.raises(OutputRefused, match="loop: exists and is not a folder"):
        AtomicFolder(tmp_path / "loop")
    for name in ("loop", "nowhere"):
        with pytest.raises(OutputRefused, match="exists"):
            AtomicFiles(tmp_path / name).add(tmp_path / name)
    assert not lies_inside(tmp_path / "loop", tmp_path / "other")
    assert lies_inside(tmp_path / "loop", tmp_path)
    with new_folder(tmp_path / "nowhere") as folder:
        (folder / "a").touch()
    assert (tmp_path / "target" / "a").exists()


def test_only_regular_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputRefused, match="is no regular file"):
        replace_file(tmp_path / "pipe", b"data")
    replace_file(tmp_path / "file", b"old")
    replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]
