"""A Python that lacks some packages, as on a machine where lowdose is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_HOOK = """\
import sys
from importlib.machinery import PathFinder

MISSING = {missing!r}


class WithoutPackages(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if path is None and name in MISSING:  # but what a program adds to its path is found
            path = [place for place in sys.path if "site-packages" not in place]
        return PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [WithoutPackages if finder is PathFinder else finder for finder in sys.meta_path]
"""


def environment_without(packages: Iterable[str], folder: Path, *search: Path) -> dict[str, str]:
    """Return the environment of a process in which importing ``packages`` fails as if they were not installed.

    folder: an empty folder for the hook. search: folders to import from, before those of this interpreter.
    """
    (folder / "sitecustomize.py").write_text(_HOOK.format(missing=frozenset(packages)), encoding="utf-8")
    path = os.pathsep.join(str(place) for place in (folder, *search))
    return {**os.environ, "PYTHONPATH": path}
