"""Folders that are filled under their final name, by one run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowdose.errors import OutputRefused
from lowdose.io.locked_folder import holds_more_than_lock, locked_folder


def test_one_run_at_a_time_and_nothing_is_left_of_one_that_wrote_nothing(tmp_path: Path) -> None:
    run = tmp_path / "new" / "run"
    with locked_folder(run, ()):
        assert not holds_more_than_lock(run)
        with pytest.raises(OutputRefused, match=r"run: a run on .* is writing it"), locked_folder(run, ()):
            pass
    assert not list(tmp_path.iterdir())
    with locked_folder(run, ()):
        (run / "state.pt").write_text("")
    assert [path.name for path in run.iterdir()] == ["state.pt"]


def test_only_what_is_left_of_the_runs_own_files_is_removed(tmp_path: Path) -> None:
    for name in (".state.pt.partial-12", ".other.partial-12"):
        (tmp_path / name).write_text("half")
    with locked_folder(tmp_path, ["state.pt"]):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".other.partial-12"}
