"""What is exported has a complete numpydoc docstring, and its examples run."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import lowdose

EXPORTING = (lowdose, lowdose.metrics, lowdose.objectives)
MODULES = [
    "lowdose", "lowdose.volume", "lowdose.image", "lowdose.hounsfield", "lowdose.boxes",
    "lowdose.sample_draws",     "lowdose.io.findings.finding",
    *(module.name for package in (lowdose.api, lowdose.metrics, lowdose.objectives)
      for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")),
]  # fmt: skip


def exported() -> list[tuple[str, object]]:
    things = [
        (f"{package.__name__}.{name}", getattr(package, name)) for package in EXPORTING for name in package.__all__
    ]
    return [(name, thing) for name, thing in things if inspect.isfunction(thing) or inspect.isclass(thing)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize(("name", "thing"), exported(), ids=[name for name, _ in exported()])
def test_exported_functions_are_described_in_numpydoc(name: str, thing: object) -> None:
    text = inspect.getdoc(thing)
    assert text, name
    first = text.splitlines()[0]
    assert first.endswith("."), first
    if inspect.isfunction(thing):
        parameters = inspect.signature(thing).parameters
        assert "Parameters\n----------" in text or not parameters, name
        assert "Returns\n-------" in text or name == "lowdose.list_recipes", name
        assert "Examples\n--------" in text, name
        for parameter in parameters:
            assert parameter in text, (name, parameter)


def test_packages_say_what_they_hold() -> None:
    packages: list[ModuleType] = [lowdose.api, lowdose.metrics, lowdose.objectives]
    assert all(package.__doc__ for package in packages)
