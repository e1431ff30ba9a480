"""Which engine a model gets: asked for or preferred, right or passed over, remembered, and said."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.image import Acquisition, Slice
from lowdose.infer.engines import accuracy_check, engine_cache, select_engine, series_accuracy
from lowdose.infer.engines.accelerated import MAX_COMPILED_SHAPES, EngineDenoiser
from lowdose.infer.engines.auto_denoiser import AutoDenoiser
from lowdose.infer.engines.base import EXACT, FAST, CompiledNetwork, CompileRequest
from lowdose.infer.engines.eager import Eager
from lowdose.infer.engines.select_engine import CPU, run_on_engine
from lowdose.io.source import Plane
from lowdose.models import load
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.load import LoadedModel
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser


class Off(Eager):
    """An engine that adds a constant to what the network makes, in HU / 1000, and claims to be fast."""

    def __init__(self, name: str, exact: float, fast: float) -> None:
        self.keeps_files = True  # type: ignore[misc]
        self.name, self._off, self.compiled = name, {EXACT: exact, FAST: fast}, list[CompileRequest]()  # type: ignore[misc]

    def supports(self, accuracy: str) -> bool:
        return True

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        self.compiled.append(work)
        right = super().compile(work)
        return lambda units: right(units) + noise(units) * self._off[work.accuracy] / 1000


def noise(units: Tensor) -> Tensor:
    """1 and -1 by turns, which keeping local means does not take out."""
    y, x = (torch.arange(side) for side in units.shape[-2:])
    return ((y[:, None] + x) % 2 * 2.0 - 1).expand_as(units)


@pytest.fixture(autouse=True)
def own_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def a_model(context: int = 0) -> LoadedModel:
    torch.manual_seed(0)
    spec = NetworkSpec("unet", {"width": 4, "levels": 2, "slices": 2 * context + 1})
    denoiser = Denoiser(spec, Scale(), context).eval()
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.2)
    return LoadedModel("test", "0" * 64, denoiser, TrainingDomain(), torch.device("cpu"))


def engines(monkeypatch: pytest.MonkeyPatch, *made: Off) -> None:
    monkeypatch.setattr(select_engine, "CPU", {**{one.name: one for one in made}, "torch": Eager()})


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CPU))
def test_every_installed_engine_is_exact_with_neighbours(name: str) -> None:
    # Without neighbours it is that of the shipped models below.
    if CPU[name].unavailable_reason():
        pytest.skip(CPU[name].unavailable_reason())
    said: list[str] = []
    model, context = a_model(1), 1
    made = run_on_engine(model, name, EXACT, said.append)
    assert (made.engine, made.accuracy) == (name, EXACT)
    assert not [text for text in said if "warning" in text]
    hu = accuracy_check.reference_slice(2 * context + 1)[..., :100, :120]
    precise = Denoiser(model.denoiser.spec, model.denoiser.scale, context).double().eval()
    precise.network.load_state_dict(model.denoiser.network.state_dict())
    right = precise.denoise(hu.double())
    assert float((made.denoiser.denoise(hu) - right).abs().max()) <= accuracy_check.EXACT_HU


def shipped_on_engines() -> Iterator[ParameterSet]:
    """Yield the names of a shipped model and of an engine; two engines take seconds to compile the largest model."""
    for model in ("fast", "leda_red_cnn", "leda_esau_net"):
        for engine in CPU:
            slow = model == "leda_esau_net" and engine in ("openvino", "onnxruntime")
            yield pytest.param(model, engine, marks=pytest.mark.long if slow else pytest.mark.slow)


@pytest.mark.parametrize(("name", "engine"), shipped_on_engines())
def test_shipped_models_are_accurate_on_every_engine(name: str, engine: str) -> None:
    if reason := CPU[engine].unavailable_reason():
        pytest.skip(reason)
    denoiser = load.load_by_name(name, torch.device("cpu")).denoiser
    assert isinstance(denoiser, Denoiser)
    hu = accuracy_check.reference_slice()[..., 64:128, 96:160]
    right = accuracy_check.in_float64(denoiser, hu)
    for accuracy in (EXACT, FAST) if engine == "winograd" else (EXACT,):
        found = EngineDenoiser(denoiser, CPU[engine], accuracy).denoise(hu).numpy()
        assert not accuracy_check.Difference.between(right, found).fault(accuracy)


def test_the_first_accurate_engine_is_chosen_and_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowdose.infer.engines.comparison.measure_seconds", lambda *_: pytest.fail("timed"))
    engines(monkeypatch, Off("wrong", 5.0, 5.0), Off("rough", 0.5, 0.5), Off("fine", 0.0, 0.9))
    assert run_on_engine(a_model(), "auto", EXACT, lambda _: None).engine == "fine"
    made = run_on_engine(a_model(), "auto", FAST, lambda _: None)
    assert (made.engine, made.accuracy) == ("rough", FAST)
    assert isinstance(made.denoiser, EngineDenoiser)
    assert made.denoiser.exact is not None
    assert (made.denoiser.exact.engine.name, made.denoiser.exact.accuracy) == ("fine", EXACT)


def test_pytorch_is_no_rival_of_two_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    def rivals(accuracy: str) -> list[str]:
        made = run_on_engine(a_model(), "auto", accuracy, lambda _: None).denoiser
        assert isinstance(made, AutoDenoiser)
        return [f"{engine.name} {level}" for engine, level in made.candidates]

    engines(monkeypatch, Off("one", 0.0, 0.0))
    assert rivals(EXACT) == ["one exact", "torch exact"]
    engines(monkeypatch, Off("one", 0.0, 0.0), Off("other", 0.0, 0.0))
    assert rivals(EXACT) == ["one exact", "other exact"]
    assert rivals(FAST) == ["one fast", "other fast", "one exact", "other exact"]
    engines(monkeypatch, Off("wrong", 9.0, 9.0), Off("worse", 9.0, 9.0))
    assert rivals(EXACT) == ["wrong exact", "worse exact", "torch exact"]


def test_a_network_that_no_engine_can_run_says_so_and_stays_in_pytorch() -> None:
    denoiser = Denoiser(NetworkSpec("gcn", {"width": 4, "blocks": 1, "slices": 1}), Scale()).eval()
    model = LoadedModel("graph", "0" * 64, denoiser, TrainingDomain(), torch.device("cpu"))
    said: list[str] = []
    assert run_on_engine(model, "auto", EXACT, said.append).denoiser is denoiser
    assert said == ["graph looks for similar pixels, which no engine exports: plain PyTorch runs it"]
    assert run_on_engine(model, "torch", EXACT, said.append).denoiser is denoiser
    assert len(said) == 1


@pytest.mark.slow
def test_from_an_empty_cache_the_same_engine_is_chosen_every_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = set()
    for turn in range(4):
        monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path / str(turn)))
        chosen.add(run_on_engine(load.load_by_name("fast", torch.device("cpu")), say=lambda _: None).engine)
    assert chosen == {next(name for name, engine in CPU.items() if not engine.unavailable_reason())}


def test_an_engine_that_was_asked_for_and_fails_gives_way_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, Off("rough", 0.0, 2.0), Off("wrong", 2.0, 2.0))
    said: list[str] = []
    made = run_on_engine(a_model(), "rough", FAST, said.append)
    assert (made.engine, made.accuracy) == ("rough", EXACT)
    assert any("rough, fast: rms 2 HU" in text for text in said)
    said.clear()
    model = a_model()
    made = run_on_engine(model, "wrong", EXACT, said.append)
    assert made.denoiser is model.denoiser
    assert any("plain PyTorch" in text for text in said)


def test_an_engine_that_breaks_down_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Off):
        def compile(self, work: CompileRequest) -> CompiledNetwork:
            raise OSError("no such\ninstruction")

    engines(monkeypatch, Broken("broken", 0.0, 0.0))
    said: list[str] = []
    assert run_on_engine(a_model(), "auto", EXACT, said.append).engine == "torch"
    run_on_engine(a_model(), "broken", EXACT, said.append)
    assert any("OSError: no such instruction" in text for text in said)


def test_checks_are_cached_until_weights_or_versions_change(monkeypatch: pytest.MonkeyPatch, own_record: Path) -> None:
    rough = Off("rough", 0.0, 0.0)
    engines(monkeypatch, rough)
    said: list[str] = []
    for _ in range(2):
        assert run_on_engine(a_model(), "auto", EXACT, said.append).engine == "rough"
        assert len(said) == 1  # the second time from the cache
    other = a_model()
    other.denoiser.network.out.bias.data += 0.001  # type: ignore[attr-defined]
    run_on_engine(other, "auto", EXACT, said.append)
    assert len(said) == 2
    rough.version = "2"  # type: ignore[misc]
    run_on_engine(a_model(), "auto", EXACT, said.append)
    assert len(said) == 3
    for note in own_record.rglob("measured.json"):
        assert {"written", "engine", "fault"} == set(json.loads(note.read_text()))
        note.write_text("{ torn")
    run_on_engine(a_model(), "auto", EXACT, said.append)
    assert len(said) == 4


def test_weights_that_are_about_to_change_leave_nothing_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, own_record: Path
) -> None:
    engines(monkeypatch, Off("fine", 0.0, 0.0))
    said: list[str] = []
    for _ in range(2):
        made = run_on_engine(a_model(), "auto", EXACT, said.append, keep=False)
        assert made.engine == "fine"
        made.denoiser.denoise(torch.zeros(1, 1, 32, 32))
    assert not said
    assert {path.name for path in own_record.rglob("*") if path.is_file()} == {"graph.json"}


def test_without_a_place_to_note_anything_it_is_measured_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, "/proc/no-such-place")
    engines(monkeypatch)
    for _ in range(2):
        said: list[str] = []
        assert run_on_engine(a_model(), "auto", EXACT, said.append).engine == "torch"
        assert len(said) == 1


def test_wrong_names_and_absent_engines_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine, accuracy, told in (
        ("tensorrt", EXACT, "--engine tensorrt: not one of auto, measure, winograd"),
        ("cuda", EXACT, "--engine cuda: not one of .* on cpu"),
        ("auto", "half", "--accuracy half: must be one of exact, fast"),
    ):
        with pytest.raises(InvalidSetting, match=told):
            run_on_engine(a_model(), engine, accuracy)
    with pytest.raises(InvalidSetting, match="nlm is no network"):
        run_on_engine(load.load_by_name("nlm", torch.device("cpu")), "torch", EXACT)
    classical = load.load_by_name("nlm", torch.device("cpu"))
    assert run_on_engine(classical, "auto", FAST) is classical
    monkeypatch.setattr("lowdose.infer.engines.openvino.find_spec", lambda _: None)
    with pytest.raises(InvalidSetting, match=r"pip install 'lowdose\[engines\]'"):
        run_on_engine(a_model(), "openvino", EXACT)


def test_only_a_few_shapes_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    off = Off("rough", 0.0, 0.0)
    model = EngineDenoiser(a_model().denoiser, off, EXACT)  # type: ignore[arg-type]
    for side in (32, 40, 32, 48, 56, 64, 32):
        model.denoise(torch.zeros(1, 1, side, side))
    assert len(model._runs) == MAX_COMPILED_SHAPES
    assert len(off.compiled) == 6  # 32 was dropped once
    twin = model.copy_for_thread()
    assert twin.plain is model.plain
    assert not twin._runs


class Series:
    """Slices in memory."""

    acquisition, geometry, warnings, skipped, uids = Acquisition(), None, list[str](), list[str](), dict[str, object]()

    def __init__(self, *images: np.ndarray) -> None:
        self.images, self.planes = images, [Plane(image.shape) for image in images]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Slice:
        hu = self.images[index]
        return Slice(hu, hu > -2000, 0.0, None)


def test_fast_gives_way_on_the_users_own_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rough(Off):
        """Right on the built-in slice, and off where an image is bright."""

        def compile(self, work: CompileRequest) -> CompiledNetwork:
            right = Eager.compile(self, work)
            bad = 0.01 if work.accuracy == FAST else 0.0
            return lambda units: right(units) + bad * noise(units) * (units > 1.2)

    engines(monkeypatch, Rough("rough", 0.0, 0.0))
    model = run_on_engine(a_model(), "auto", FAST, lambda _: None)
    assert (model.engine, model.accuracy) == ("rough", FAST)
    plain = accuracy_check.reference_slice()[0, 0].numpy()[:64, :64]
    bright, padded = np.full_like(plain, 1500.0), plain.copy()
    padded[:8] = -3024.0
    same, told = series_accuracy.check_on_series(model, Series(plain, padded, plain))  # type: ignore[arg-type]
    assert same is model
    assert told == []
    for series, place in ((Series(bright, plain), 1), (Series(plain, plain, bright, plain), 3)):
        other, told = series_accuracy.check_on_series(model, series)  # type: ignore[arg-type]
        assert other.accuracy == EXACT
        assert f"slice {place} " in told[0]
        assert "rms" in told[0]
    exact = run_on_engine(a_model(), "auto", EXACT, lambda _: None)
    assert series_accuracy.check_on_series(exact, Series(bright))[0] is exact  # type: ignore[arg-type]
    nothing = np.full_like(plain, -3024.0)
    assert series_accuracy.check_on_series(model, Series(nothing))[0] is model  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("accuracy", [EXACT, FAST])
@pytest.mark.parametrize("name", ["fast", "leda_red_cnn", "leda_esau_net"])
def test_cuda_passes_the_accuracy_check(name: str, accuracy: str) -> None:
    said: list[str] = []
    model = run_on_engine(load.load_by_name(name, torch.device("cuda")), "cuda", accuracy, said.append)
    assert (model.engine, model.accuracy) == ("cuda", accuracy), said
    for side in (256, 192):  # a second shape is captured anew
        hu = accuracy_check.reference_slice()[..., :side, :side]
        right = accuracy_check.in_float64(load.load_by_name(name, torch.device("cpu")).denoiser, hu)  # type: ignore[arg-type]
        for _ in range(2):
            found = model.denoiser.denoise(hu.cuda()).cpu().numpy()
            assert not accuracy_check.Difference.between(right, found).fault(accuracy)


def test_without_the_compiled_engine_the_measurement_says_what_that_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowdose.infer.engines.winograd.engine.load_library", lambda: None)
    monkeypatch.setattr(select_engine, "CPU", {"one": Off("one", 0, 0), "other": Off("other", 0, 0)})
    said: list[str] = []
    run_on_engine(a_model(), say=said.append)
    assert [text for text in said if "winograd, the fastest engine, is missing" in text and "g++" in text]
