"""The folder of added models as it is read: where it is, which names it knows, and what damages its index."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.models import checkpoint
from lowdose.weights import user_models
from lowdose.weights.identity import shipped_weights

SOUND = {"kind": "denoiser", "sha256": "0" * 64}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_the_folder_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path))
    assert user_models.models_folder() == tmp_path
    assert user_models.weights_path("a").parent == user_models.card_path("a").parent == tmp_path
    monkeypatch.setenv("LOWDOSE_MODELS", "~/mine")
    assert user_models.models_folder() == Path("/somewhere/mine")
    monkeypatch.setenv("LOWDOSE_MODELS", "")
    assert user_models.models_folder() == Path("/data/lowdose/models")
    for unset in ("", "relative/data"):
        monkeypatch.setenv("XDG_DATA_HOME", unset)
        assert user_models.models_folder() == Path("/somewhere/.local/share/lowdose/models")


def test_without_a_home_nothing_is_added_and_shipped_models_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("LOWDOSE_MODELS", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert user_models.user_model_hashes() == {}
    with pytest.raises(InvalidSetting, match="set LOWDOSE_MODELS"):
        user_models.models_folder()
    assert checkpoint.load_denoiser("leda_red_cnn").name == "leda_red_cnn"
    with pytest.raises(IncompatibleCheckpoint, match=r"of your own \(none\)"):
        checkpoint.load_denoiser("unnet")


@given(st.text(string.ascii_letters + string.digits + "_-./ äß\n\x1b", max_size=70))
def test_a_name_is_one_part_of_a_path_and_no_option(text: str) -> None:
    kept = set(string.ascii_lowercase + string.digits + "_-")
    assert user_models.is_valid_name(text) == (0 < len(text) <= 64 and set(text) <= kept and text[0] not in "_-")


def test_no_folder_and_an_empty_one_hold_nothing(models: Path) -> None:
    assert user_models.user_model_hashes() == {}
    models.rmdir()
    assert user_models.user_model_hashes() == {}
    models.write_text("a file in the way")
    assert user_models.user_model_hashes() == {}


def test_names_are_those_of_a_kind(models: Path) -> None:
    (models / "index.json").write_text(json.dumps({"a": SOUND, "b": SOUND | {"kind": "anatomy"}}))
    assert set(user_models.user_model_hashes()) == {"a", "b"}
    assert user_models.user_model_hashes("denoiser") == {"a": "0" * 64}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        json.dumps({"../a": SOUND}).encode(),
        json.dumps({"A": SOUND}).encode(),
        json.dumps({"a": "0" * 64}).encode(),
        json.dumps({"a": {"kind": "denoiser"}}).encode(),
        json.dumps({"a": {"kind": "denoiser", "sha256": "0" * 63}}).encode(),
        json.dumps({"a": {"kind": 3, "sha256": "0" * 64}}).encode(),
    ],
)
def test_a_damaged_index_is_told_and_hinders_only_what_needs_it(models: Path, content: bytes) -> None:
    (models / "index.json").write_bytes(content)
    with pytest.raises(IncompatibleCheckpoint, match=r"index\.json: the index .* is damaged .*; remove it"):
        user_models.user_model_hashes()
    with pytest.raises(IncompatibleCheckpoint, match="remove it"):
        checkpoint.load_denoiser("a")
    assert checkpoint.load_denoiser("leda_red_cnn").sha256 == shipped_weights()["leda_red_cnn"]


def test_an_index_that_cannot_be_read(models: Path) -> None:
    (models / "index.json").mkdir()
    with pytest.raises(IncompatibleCheckpoint, match=r"index\.json: cannot be read .*make it readable"):
        user_models.user_model_hashes()
