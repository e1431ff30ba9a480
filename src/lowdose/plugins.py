"""Code of the user's own: plug-ins of installed packages, and Python files that an option names.

Nothing else is ever executed: a weights file may say which plug-in it needs, but not bring one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType

from lowdose.errors import InvalidSetting

NETWORKS, RECIPES, PAIRINGS = "lowdose.networks", "lowdose.recipes", "lowdose.pairings"
"""Groups of entry points in which a package names its networks, recipes and pairings."""


def plugin_names(group: str) -> set[str]:
    """Return the names that installed packages have in ``group``, without importing any of them."""
    return {point.name for point in entry_points(group=group)}


def load_plugin(group: str, name: str) -> object | None:
    """Import the plug-in called ``name``; None if no installed package has one.

    Raises InvalidSetting when it cannot be imported, or when several packages have one of this name.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        return None
    if len(found) > 1:
        packages = " and ".join(sorted(_package(point) for point in found))
        raise InvalidSetting(f"'{name}' is in {group} of {packages}; uninstall one of them")
    try:
        loaded: object = found[0].load()
    except Exception as error:  # foreign code can raise anything
        raise InvalidSetting(
            f"'{name}' of {_package(found[0])}: does not import ({_described(error)}); correct or uninstall the package"
        ) from error
    return loaded


def run_file(path: Path) -> ModuleType:
    """Execute a Python file as a module of its own, and return it; running it again defines everything anew.

    Raises InvalidSetting when there is no such file, or when it does not import.
    """
    if not path.is_file():
        raise InvalidSetting(f"{path}: no such file; give the Python file with your network or recipe")
    name = f"lowdose_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    if path.suffix != ".py":
        raise InvalidSetting(f"{path}: is no Python file; its name must end in .py")
    loader = _UncachedSource(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # there is none only where no loader is found
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as for every import: dataclasses look their module up
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:  # foreign code can raise anything
        del sys.modules[name]
        raise InvalidSetting(f"{path}: does not import ({_described(error)}); correct the file") from error
    return module


class _UncachedSource(SourceFileLoader):
    """Loader that compiles a file each time: files compiled before are told apart by size and by time in seconds."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist else point.value


def _described(error: BaseException) -> str:
    """Return the kind of an error and its message in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
