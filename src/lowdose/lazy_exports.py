"""Export of names that are imported when they are first used, so that importing a package is cheap."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def lazy_exports(
    namespace: dict[str, Any], modules: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package that exports names lazily (PEP 562).

    Parameters
    ----------
    namespace : dict
        ``globals()`` of the package. No module of the package may bear an exported name: importing that module would
        replace the export.
    modules : mapping of str to iterable of str
        Exported names, by the full name of the module that defines them.

    Returns
    -------
    (callable, callable)
        ``__getattr__`` raises AttributeError for any other name; ``__dir__`` lists what ``__all__`` does.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def getattr_(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        with _collection_paused():
            namespace[name] = getattr(import_module(module_of[name]), name)  # the next use does not come here
        return namespace[name]

    def dir_() -> list[str]:
        return list(namespace["__all__"])

    return getattr_, dir_


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Pause the search for garbage in cycles: importing makes a million objects and next to no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
