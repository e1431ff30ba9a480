"""Names of version 0.1 that only its author could guess are gone; those that still work are in one table."""

import importlib
import inspect
import pkgutil
from importlib.util import find_spec
from types import ModuleType

import pytest
import typer

import lowdose
from lowdose import cli, deprecations

OLD_MODULES = {
    "added", "adding", "appearance", "assess", "bending", "choice", "conduct", "cuttable", "digital", "domain",
    "explaining", "facts", "feed", "frame", "fresh", "gate", "guided", "ink", "labels", "neighbourhoods",
    "normal", "numbers", "opening", "own_slice", "pace", "paint", "pedigree", "prepare", "quality", "quiet", "recast",
    "record", "segmented", "simulate", "spec", "stages", "store", "stored", "surroundings", "train", "walk", "wording",
    "worded",
}  # fmt: skip
OLD_SYMBOLS = {
    "Accelerated", "Appearance", "Backbone", "Bending", "Check", "Conduct", "Cuttable", "DigitalPatients", "Exposed",
    "Facts", "Frame", "Guided", "Halving", "Judgement", "Look", "Normal", "NormalSlice", "Numbers",
    "Opened", "Pace", "Pedigree", "Placing", "Prepared", "Reading", "Seen", "Spec", "Stacked", "Stop", "Tally",
    "Teacher", "Turn", "Unusual", "Views", "Walked", "WordedBatch", "WordedCrops", "accelerate", "alone_at_times",
    "backbone", "centres", "checked", "conduct", "find", "hushed", "judge", "lay_out", "load", "look_at",
    "neighbourhoods", "normal_slices", "quiet", "recast", "refusing", "stacked", "try_out", "walk", "whole_hu",
    "with_surroundings", "worded_batches",
}  # fmt: skip
OLD_METHODS = {"afresh", "facts", "players", "saved", "turns", "twin", "watch"}


def modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(lowdose.__path__, "lowdose.")]
    python = [name for name in names if not str(find_spec(name).origin).endswith(".so") and "__main__" not in name]
    return [importlib.import_module(name) for name in python]


def test_no_module_class_or_function_bears_an_old_name() -> None:
    found = []
    for module in modules():
        last = module.__name__.rpartition(".")[2]
        found += [module.__name__] if last in OLD_MODULES else []
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != module.__name__:
                continue
            found += [f"{module.__name__}.{name}"] if name in OLD_SYMBOLS else []
            if inspect.isclass(thing):
                found += [f"{module.__name__}.{name}.{method}" for method in OLD_METHODS & set(vars(thing))]
    assert found == []


def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(cli.app)
    found = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found[f"lowdose {name}"] = command
        found |= {f"lowdose {name} {sub}": part for sub, part in inner.items()} if inner else {}
    return found


def test_old_spellings_of_the_command_line_are_hidden_and_in_the_table() -> None:
    every = commands()
    for command, spellings in deprecations.OPTIONS.items():
        hidden = {
            option
            for parameter in every[command].params
            if getattr(parameter, "hidden", False)
            for option in parameter.opts
        }
        shown = {
            option
            for parameter in every[command].params
            if not getattr(parameter, "hidden", False)
            for option in parameter.opts
        }
        for old, new in spellings.items():
            assert new in shown, (command, new)
            assert old not in shown, (command, old)
            assert old.isupper() or old in hidden, (command, old)
    # And nothing is hidden that the table does not name.
    for command, parts in every.items():
        for parameter in parts.params:
            if getattr(parameter, "hidden", False) and parameter.opts[0].startswith("-"):
                assert parameter.opts[0] in deprecations.OPTIONS[command], (command, parameter.opts)


def test_json_precision_and_out_mean_one_thing_each() -> None:
    meanings: dict[str, set[str]] = {}
    for parts in commands().values():
        for parameter in parts.params:
            if not getattr(parameter, "hidden", False):
                for option in parameter.opts:
                    kind = "flag" if getattr(parameter, "is_flag", False) else "value"
                    meanings.setdefault(option, set()).add(kind)
    assert meanings["--json"] == {"flag"}
    assert meanings["--out"] == {"value"}
    assert meanings["--manifest"] == {"flag"}
    takers = {
        command
        for command, parts in commands().items()
        for parameter in parts.params
        if "--precision" in parameter.opts and not parameter.hidden
    }
    assert takers == {"lowdose train"}


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_says_in_its_help_what_its_options_are(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run([*command.split()[1:], "--help"]) == 0
    said = capfd.readouterr().out
    assert not any(placeholder in said for placeholder in ("{recipes}", "{networks}", "{any_network}"))
    if command == "lowdose train":
        for name in lowdose.list_recipes():
            assert name in said
        assert "shuffle_unet" in said
