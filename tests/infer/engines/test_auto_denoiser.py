"""A denoiser that looks for a faster engine: when it looks, what it takes over, and what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lowdose import memory
from lowdose.hounsfield import Scale
from lowdose.infer.engines import auto_denoiser, engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.auto_denoiser import FIRST_LOOK, LOOK_AGAIN, AutoDenoiser, size_class
from lowdose.infer.engines.base import EXACT, FAST, CompiledNetwork, CompileRequest
from lowdose.infer.engines.eager import Eager
from lowdose.infer.engines.verified import Verifier
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser

SLICE = torch.zeros(1, 1, 24, 24)


class Named(Eager):
    """PyTorch under another name, with both accuracies, and wrong by ``off`` network units."""

    def __init__(self, name: str, off: float = 0.0) -> None:
        self.name, self.off = name, off  # type: ignore[misc]

    def supports(self, accuracy: str) -> bool:
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        right = super().compile(work)
        checkers = (torch.arange(work.shape[2])[:, None] + torch.arange(work.shape[3])) % 2 * 2.0 - 1
        return lambda units: right(units) + self.off * checkers


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make every comparison find ``seconds``; ``count`` is the number of comparisons."""
    looks: dict[str, Any] = {"seconds": {}, "count": 0}

    def measure(denoisers: list[EngineDenoiser], hu: torch.Tensor) -> dict[str, float]:
        looks["count"] += 1
        return {each.name: looks["seconds"][each.engine.name] for each in denoisers}

    monkeypatch.setattr(auto_denoiser, "measure_seconds", measure)
    return looks


OURS, THEIRS, WRONG = Named("ours"), Named("theirs"), Named("wrong", off=0.1)


def make(said: list[str] | None = None, accuracy: str = EXACT, **settings: bool) -> AutoDenoiser:
    torch.manual_seed(0)
    plain = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale()).eval()
    exact = EngineDenoiser(plain, OURS, EXACT) if accuracy == FAST else None
    first = EngineDenoiser(plain, OURS, accuracy, exact)
    candidates = [(engine, accuracy) for engine in (OURS, THEIRS, WRONG)]
    return AutoDenoiser(first, candidates, Verifier(plain), ([] if said is None else said).append, **settings)


def denoise(model: EngineDenoiser, slices: int) -> None:
    for _ in range(slices):
        model.denoise(SLICE)


def test_a_short_series_measures_nothing(looks: dict[str, Any]) -> None:
    model = make()
    denoise(model, FIRST_LOOK)
    assert looks["count"] == 0
    assert model.engine is OURS


@pytest.mark.parametrize("accuracy", [EXACT, FAST])
def test_in_a_long_series_the_fastest_accurate_engine_takes_over(looks: dict[str, Any], accuracy: str) -> None:
    looks["seconds"] = {"ours": 2.0, "theirs": 1.0, "wrong": 0.1}
    said: list[str] = []
    model = make(said, accuracy)
    denoise(model, FIRST_LOOK + 1)
    assert looks["count"] == 1
    assert model.engine is THEIRS
    assert said == [
        f"theirs {accuracy} is the fastest engine; ms of processor time a slice: "
        f"ours {accuracy} 2000, theirs {accuracy} 1000, wrong {accuracy} 100"
    ]
    again = make(accuracy=accuracy)
    denoise(again, 1)  # the next process begins with it
    assert looks["count"] == 1
    assert again.engine is THEIRS


def test_the_engines_are_looked_at_again(looks: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_denoiser, "FIRST_LOOK", 3)
    monkeypatch.setattr(auto_denoiser, "LOOK_AGAIN", 5)
    assert FIRST_LOOK < LOOK_AGAIN
    looks["seconds"] = {"ours": 2.0, "theirs": 1.0, "wrong": 9.0}
    model = make()
    denoise(model, 4)
    assert model.engine is THEIRS
    looks["seconds"] = {"ours": 1.05, "theirs": 1.0, "wrong": 9.0}  # within noise: ours
    denoise(model, 4)
    assert looks["count"] == 1
    denoise(model, 1)
    assert looks["count"] == 2
    assert model.engine is OURS


def test_measure_looks_at_the_first_slice_whatever_is_known(looks: dict[str, Any]) -> None:
    looks["seconds"] = {"ours": 1.0, "theirs": 2.0, "wrong": 2.0}
    for turn in (1, 2):
        said: list[str] = []
        denoise(make(said, measure_now=True), 2)
        assert looks["count"] == turn
        assert "ours exact is the fastest engine" in said[0]


def test_what_was_measured_holds_for_one_size_one_allocator_and_ninety_days(
    looks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks["seconds"] = {"ours": 2.0, "theirs": 1.0, "wrong": 9.0}
    denoise(make(measure_now=True), 1)

    def first_engine(hu: torch.Tensor = SLICE) -> str:
        model = make()
        model.denoise(hu)
        return model.engine.name

    assert first_engine() == "theirs"
    assert first_engine(torch.zeros(1, 1, 96, 96)) == "ours"
    with monkeypatch.context() as patch:
        kept = memory.is_kept()  # a command that ran in this process before may have changed it
        patch.setattr(memory, "is_kept", lambda: not kept)
        assert first_engine() == "ours"
    now = engine_cache.time.time()
    monkeypatch.setattr(engine_cache.time, "time", lambda: now + engine_cache.EXPIRY_SECONDS + 1)
    assert first_engine() == "ours"


def test_unused_folders_are_removed_when_something_is_written(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_cache.write_entry("a" * 64, {"fault": ""})
    now = engine_cache.time.time()
    monkeypatch.setattr(engine_cache.time, "time", lambda: now + engine_cache.EXPIRY_SECONDS + 1)
    engine_cache.write_entry("b" * 64, {"fault": ""})
    left = {path.name for path in (own_cache / "engines").iterdir()}
    assert "a" * 32 not in left


def test_a_denoiser_for_another_thread_uses_what_is_known_and_measures_nothing(looks: dict[str, Any]) -> None:
    looks["seconds"] = {"ours": 2.0, "theirs": 1.0, "wrong": 9.0}
    model = make(measure_now=True)
    denoise(model, 1)
    twin = model.copy_for_thread()
    denoise(twin, 3)
    assert twin is not model
    assert twin.engine is THEIRS
    assert looks["count"] == 1


def test_sizes_are_grouped_by_powers_of_two() -> None:
    assert size_class(torch.zeros(1, 1, 512, 512)) == size_class(torch.zeros(1, 1, 500, 480)) == "2^18 pixels"
    assert size_class(torch.zeros(1, 1, 256, 256)) == "2^16 pixels"
