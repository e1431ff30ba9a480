"""Limits in the file of an autoencoder; files that state none have the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowdose.errors import IncompatibleCheckpoint
from lowdose.language.autoencoder_file import load_autoencoder
from lowdose.language.word_limits import DEFAULT_LIMITS, WordLimits, read_limits
from support import tiny_word_autoencoder


def test_limits_go_with_the_file(tmp_path: Path) -> None:
    own = WordLimits(certainty=0.3, drift_floor=0.2, drift_times=3.0, drift_far=0.7)
    assert load_autoencoder(tiny_word_autoencoder.write(tmp_path / "own.safetensors", limits=own)).limits == own
    assert load_autoencoder(tiny_word_autoencoder.write(tmp_path / "none.safetensors")).limits == DEFAULT_LIMITS


def test_damaged_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WordLimits, "to_header", lambda self: {"limits": '{"loudness": 1}'})
    path = tiny_word_autoencoder.write(tmp_path / "damaged.safetensors", limits=DEFAULT_LIMITS)
    with pytest.raises(IncompatibleCheckpoint, match="its description is damaged"):
        load_autoencoder(path)


def test_drift_is_above_the_floor_and_above_what_is_usual_or_far() -> None:
    limits = WordLimits(drift_floor=0.1, drift_times=4.0, drift_far=0.5)
    assert [limits.drift(usual) for usual in (0.0, 0.02, 0.1, 0.2)] == [0.1, 0.1, 0.4, 0.5]
    assert read_limits(limits.to_header()) == limits
    assert read_limits({}) == WordLimits()
