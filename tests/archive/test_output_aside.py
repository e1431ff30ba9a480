"""What a library prints goes to a file, and what the command says to the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lowdose.archive.output_aside import output_aside
from lowdose.cli.terminal import say
from lowdose.errors import OutputRefused


def test_only_what_is_said_reaches_the_user(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ray.log"
    streams = sys.stdout, sys.stderr
    with output_aside(file, say) as tell:
        tell("one")
        print("from Python")
        print("on standard error", file=sys.stderr)
        os.write(2, b"past Python\n")
        tell("two")
    assert (sys.stdout, sys.stderr) == streams
    say("three")
    os.write(2, b"four\n")
    captured = capfd.readouterr()
    assert captured.err == "one\ntwo\nthree\nfour\n"
    assert captured.out == ""
    assert sorted(file.read_text().splitlines()) == ["from Python", "on standard error", "past Python"]


def test_what_is_kept_in_memory_is_still_kept_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with output_aside(tmp_path / "ray.log", say) as tell:
        tell("one")
        print("from Python", file=sys.stderr)
    assert capsys.readouterr().err == "one\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputRefused, match=r"ray\.log: cannot be written"),
        output_aside(tmp_path / "gone" / "ray.log", say),
    ):
        pass
