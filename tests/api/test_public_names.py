"""What ``import lowdose`` gives: quick, without torch, and with functions that no module hides."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

import lowdose

FUNCTIONS = (
    "read", "load_model", "denoise", "explain", "evaluate", "simulate_dose", "simulate_phantom", "train",
    "list_recipes", "adapt", "detect",
)  # fmt: skip


def every_module() -> list[str]:
    """Every module in Python; the compiled convolutions are libraries, not modules."""
    found = pkgutil.walk_packages(lowdose.__path__, "lowdose.")
    names = [module.name for module in found if module.name != "lowdose.__main__"]
    return [name for name in names if not str(find_spec(name).origin).endswith(".so")]


def test_importing_lowdose_is_quick_and_loads_no_torch() -> None:
    code = (
        "import time, sys; start = time.process_time(); import lowdose; spent = time.process_time() - start;"
        "print(spent, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    spent, torch, numpy = min(run.stdout for run in runs).split()
    assert float(spent) < 0.1
    assert (torch, numpy) == ("False", "False")


def test_no_module_bears_the_name_of_an_exported_function() -> None:
    names = {name.rpartition(".")[2] for name in every_module()}
    assert names.isdisjoint(FUNCTIONS)
    metrics = {module.name for module in pkgutil.iter_modules(lowdose.metrics.__path__)}
    assert metrics.isdisjoint(lowdose.metrics.__all__)
    objectives = {module.name for module in pkgutil.iter_modules(lowdose.objectives.__path__)}
    assert objectives.isdisjoint(lowdose.objectives.__all__)


def test_functions_stay_callable_when_every_module_has_been_imported() -> None:
    for name in every_module():
        importlib.import_module(name)
    for _ in range(2):
        for name in FUNCTIONS:
            function = getattr(lowdose, name)
            assert callable(function), name
            assert not isinstance(function, ModuleType), name
        assert callable(lowdose.metrics.ssim)
        assert callable(lowdose.metrics.psnr)


@pytest.mark.parametrize(
    "package", [lowdose, lowdose.metrics, lowdose.objectives, lowdose.api], ids=lambda p: p.__name__
)
def test_everything_that_is_listed_is_there_and_described(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        thing = getattr(package, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), name
    with pytest.raises(AttributeError, match="no_such_thing"):
        getattr(package, "no_such_thing")  # noqa: B009 - mypy knows that it is not there


def test_keyword_arguments_are_the_options_of_the_command_line() -> None:
    from lowdose.cli import (
        demo_command,
        denoise_command,
        detect_command,
        evaluate_command,
        explain_command,
        simulate_command,
        train_command,
    )

    assert demo_command.demo
    for function, command in (
        (lowdose.denoise, denoise_command.denoise),
        (lowdose.detect, detect_command.detect),
        (lowdose.evaluate, evaluate_command.evaluate),
        (lowdose.explain, explain_command.explain),
        (lowdose.simulate_dose, simulate_command.simulate),
        (lowdose.train, train_command.train),
    ):
        of_function = set(inspect.signature(function).parameters) - {"source", "spacing", "progress", "earlier"}
        of_command = set(inspect.signature(command).parameters)
        of_command |= {"set"} if "setting" in of_command else set()
        assert of_function <= of_command, (function.__name__, of_function - of_command)
