"""What ``lowdose info`` says of engines and optional parts."""

from __future__ import annotations

from importlib.metadata import version

import pytest

import lowdose
from lowdose.api import installation
from lowdose.cli import main
from lowdose.infer.engines.select_engine import CPU
from lowdose.infer.engines.winograd import engine as winograd


def test_every_engine_is_named_with_its_version_or_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "load_library", lambda: None)
    found = lowdose.info()
    assert set(CPU) <= set(found.engines)
    assert found.engines["winograd"].startswith("missing: ")
    assert "g++" in found.engines["winograd"]
    assert found.engines["torch"].startswith("ready")


def test_extras_are_those_of_the_package_with_the_way_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(installation.EXTRAS, "formats", ("no-such-package", "other formats"))  # type: ignore[misc]
    found = lowdose.info().extras
    assert found["formats"] == "missing: other formats; pip install 'lowdose[formats]'"
    assert found["ray"].startswith(f"ready (ray {version('ray')}): ")


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["info"])
    assert left.value.code == 0
    assert capsys.readouterr().out.splitlines() == lowdose.info().lines
