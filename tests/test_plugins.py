"""Code of the user's own is run where it was asked for, and what is wrong with it is said in one line."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lowdose import plugins, recipes
from lowdose.errors import InvalidSetting
from lowdose.network_spec import NetworkSpec, UnknownNetwork, network_names


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str, str]) -> None:
    """Stand in for installed packages that have these entry points: (name, value, group)."""
    made = [EntryPoint(*point) for point in points]

    def entry_points(**wanted: str) -> list[EntryPoint]:
        return [point for point in made if all(getattr(point, key) == value for key, value in wanted.items())]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def test_a_file_is_run_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for number in (1, 2):
        file.write_text(f"from dataclasses import dataclass\n@dataclass\nclass Row:\n    number: 'int' = {number}\n")
        module = plugins.run_file(file)
        assert module.Row().number == number
        assert module.__file__ == str(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_package\n", "does not import (ModuleNotFoundError: No module named 'no_such_package')"),
        ("def f(:\n", "does not import (SyntaxError: "),
        ("raise SystemExit(3)\n", "does not import (SystemExit: 3)"),
        ("raise ValueError('one\\ntwo')\n", "does not import (ValueError: one two)"),
    ],
)
def test_a_file_that_does_not_import_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    before = set(sys.modules)
    with pytest.raises(InvalidSetting) as caught:
        plugins.run_file(file)
    assert f"{file}: {reason}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {name for name in set(sys.modules) - before if name.startswith("lowdose_file")} == set()


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("RECIPE = 1")
    for name, reason in (("gone.py", "no such file"), ("", "no such file"), ("notes.txt", "must end in .py")):
        with pytest.raises(InvalidSetting, match=reason):
            plugins.run_file(tmp_path / name)


def test_packages_that_do_not_work_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    group = plugins.RECIPES
    install(monkeypatch, ("broken", "no_such_package", group), ("two", "os", group), ("two", "sys", group),
            ("number", "math:pi", group))  # fmt: skip
    assert {"broken", "two", "number", "unet"} <= set(recipes.recipe_names())
    for name, reason in (
        ("broken", "'broken' of no_such_package: does not import (ModuleNotFoundError"),
        ("two", "'two' is in lowdose.recipes of os and sys; uninstall one of them"),
        ("number", "'number' in lowdose.recipes is no recipe but a float"),
    ):
        with pytest.raises(InvalidSetting) as caught:
            recipes.get_recipe(name)
        assert reason in str(caught.value)
    assert recipes.get_recipe("unet").paper  # the others are not in its way


def test_a_network_is_imported_when_it_is_needed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("theirs", "no_such_package", plugins.NETWORKS), ("empty", "math", plugins.NETWORKS))
    assert {"theirs", "unet"} <= set(network_names())
    assert NetworkSpec("unet", {"width": 4, "levels": 2}).build()
    with pytest.raises(InvalidSetting, match="'theirs' of no_such_package: does not import"):
        NetworkSpec("theirs").build()
    with pytest.raises(UnknownNetwork, match="network 'empty' is not known"):  # its package registers none
        NetworkSpec("empty").build()
