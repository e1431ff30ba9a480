"""Beside this file lies what tests of several rooms share."""

import pytest
from hypothesis import settings

# The same examples in every run: what CI finds can be found again.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def no_cache_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What engines measure and compile in tests is kept for the other tests, and goes with them."""
    monkeypatch.setenv("LOWDOSE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def no_models_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither see nor change the models that whoever runs them has added."""
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path_factory.getbasetemp() / "models-of-ones-own"))
