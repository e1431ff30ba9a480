"""What README and docs say works: links, files, commands with their options, and the Python of docs/python.md."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lowdose import cli
from support.ct_pair import shortened

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "src/lowdose/zoo").glob("*.md"))]
OURS = re.compile(r"`?\b((?:docs|experiments|benchmarks|tests|src/lowdose)/[\w./-]*\w)")
MODULES = re.compile(r"python -m ((?:experiments|benchmarks)[\w.]+)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as its readers on a code host get them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", head).lower()).strip().replace(" ", "-") for head in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [ROOT / path for path in OURS.findall(text)]
    named += [module_file(module.rstrip(".")) for module in MODULES.findall(text)]
    assert [str(path.relative_to(ROOT)) for path in named if not path.exists()] == []


def module_file(module: str) -> Path:
    """Return the file that ``python -m module`` runs."""
    package = ROOT / module.replace(".", "/")
    return package / "__main__.py" if package.is_dir() else package.with_suffix(".py")


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the words of each ``lowdose`` command in an indented or fenced block."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"(?: {4}|srun )\s*(?:-m )?(lowdose .*)", line):
                yield page.name, shlex.split(match[1].rstrip("\\"), comments=True)[1:]


@cache
def whole_command() -> Any:
    """Return the command line; making it takes a tenth of a second."""
    return typer.main.get_command(cli.app)


def complaints(words: list[str]) -> list[str]:
    """Tell what the command line would not understand in the words after ``lowdose``."""
    command = whole_command()
    while subcommands := getattr(command, "commands", None):
        if not words or words[0].startswith("-"):
            break
        if words[0] not in subcommands:
            return [f"no command {words[0]}"]
        command, words = subcommands[words[0]], words[1:]
    visible = [param for param in command.params if not getattr(param, "hidden", False)]
    options = {name: param for param in visible for name in param.opts if name.startswith("-")}
    arguments = [param for param in visible if not param.opts[0].startswith("-")]
    given, wrong, left = 0, [], iter(word for word in words if not word.startswith("$"))
    for word in left:
        if not word.startswith("-"):
            given += 1
        elif word not in options:
            wrong.append(word)
        elif not getattr(options[word], "is_flag", False) and word != "--ray":  # whose value may be left out
            next(left, None)
    few = given < sum(argument.required for argument in arguments)
    many = given > len(arguments) and all(argument.nargs != -1 for argument in arguments) and "--ray" not in words
    return wrong + ["an argument is missing"] * few + ["too many arguments"] * many


def test_every_command_exists_with_its_options() -> None:
    wrong = [(page, words, found) for page, words in command_lines() if (found := complaints(words))]
    assert wrong == []
    assert sum(1 for _ in command_lines()) > 50


def test_what_is_no_command_is_noticed() -> None:
    assert complaints(["denoise", "SERIES", "--out", "OUT"]) == []
    assert complaints(["denoise", "SERIES", "--json"]) == ["--json"]
    assert complaints(["denoise", "--out", "OUT"]) == ["an argument is missing"]
    assert complaints(["denoise", "SERIES", "OUT"]) == ["too many arguments"]
    assert complaints(["denoize"]) == ["no command denoize"]


@pytest.mark.slow
def test_the_python_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair = shortened(Path("PAIRS").absolute(), slices=1)
    for name, folder in {"SERIES": pair.quarter, "QUARTER": pair.quarter, "FULL": pair.full}.items():
        Path(name).symlink_to(folder)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.S)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(block, namespace)
    assert len(blocks) == 9
    assert {"DENOISED", "STREAMED", "SERIES-denoised", "REPORT", "WORDS", "RUN"} <= {p.name for p in tmp_path.iterdir()}
