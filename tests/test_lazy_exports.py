"""Names that are imported when they are first used."""

import sys
from types import ModuleType

import pytest

from lowdose.lazy_exports import lazy_exports


def test_a_name_is_imported_once_and_then_stands_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_module_of_this_test")
    module.answer = 42  # type: ignore[attr-defined]
    namespace = {"__name__": "a_package", "__all__": ["answer"]}
    find, names = lazy_exports(namespace, {"a_module_of_this_test": ("answer",)})
    assert "answer" not in namespace
    monkeypatch.setitem(sys.modules, "a_module_of_this_test", module)
    assert find("answer") == namespace["answer"] == 42
    assert names() == ["answer"]
    with pytest.raises(AttributeError, match="module 'a_package' has no attribute 'question'"):
        find("question")
