"""Settings and fixtures for every test; helpers that tests import lie in ``tests/support``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the cores. Set before torch is imported, which reads it once.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

if TYPE_CHECKING:
    from support.ct_pair import CTPair

pytest.register_assert_rewrite("support")

# The same examples in every run, so that a failure in CI can be repeated.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def folders_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the cache of the engines and the added models in a folder that all tests share, not in the user's.

    It must not use ``monkeypatch``, which would then be set up before every other fixture and undone after all of them:
    what a test patches on top of what a fixture patched would stay patched for ever.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LOWDOSE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        environment.setenv("LOWDOSE_MODELS", str(tmp_path_factory.getbasetemp() / "added-models"))
        yield


@pytest.fixture(scope="session")
def ct_pair() -> CTPair:
    """Six slices of the digital patient's abdomen at full and at a quarter of the dose, as DICOM in the repository."""
    from support.ct_pair import CT_PAIR

    return CT_PAIR


@pytest.fixture(scope="session")
def short_pair(tmp_path_factory: pytest.TempPathFactory) -> CTPair:
    """Three slices of ``ct_pair``."""
    from support.ct_pair import shortened

    return shortened(tmp_path_factory.mktemp("short"))
