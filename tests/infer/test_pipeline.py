"""A series through a model: what must stay stays, strength blends, and the domain is checked."""

import threading
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar
from weakref import ref

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from lowdose.device import choose_device
from lowdose.errors import CannotDecode, IncompatibleCheckpoint, InvalidSetting, OutputRefused
from lowdose.hounsfield import Scale
from lowdose.image import Acquisition, Geometry, Slice
from lowdose.infer import pipeline
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.base import EXACT, CompiledNetwork, CompileRequest
from lowdose.io.source import Plane
from lowdose.models import load, training_domain
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.classical import CLASSICAL
from lowdose.models.load import LoadedModel
from lowdose.models.training_domain import SeriesMeasurements
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import MARGIN, Denoiser, keep_local_means, pad_to
from support.scanned_patients import body, scan


def a_model() -> LoadedModel:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale()).eval()
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.2)
    return LoadedModel("test", "0" * 64, denoiser, TrainingDomain(), torch.device("cpu"))


def a_slice(seed: int = 0) -> Slice:
    hu = scan(seed).low.hu[0].copy()
    valid = np.ones(hu.shape, bool)
    valid[:9] = False
    hu[:9] = -3024.0
    hu[60, 60:64] = [3071.0, 2000.0, -8192.0, -1150.0]
    return Slice(hu, valid, 0.0, (3.0, 3.0))


@dataclass
class MemorySource:
    slices: list[Slice]
    acquisition: Acquisition = field(default_factory=lambda: Acquisition(thickness_mm=3.0))
    geometry: Geometry | None = None
    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    uids: dict[str, object] = field(default_factory=dict)
    planes: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.slices)

    def read(self, index: int) -> Slice:
        return self.slices[index]


class MemorySink:
    def __init__(self) -> None:
        self.written: list[np.ndarray] = []

    def write(self, original: Slice, hu: np.ndarray) -> None:
        self.written.append(hu)


@pytest.mark.parametrize("name", ["network", *CLASSICAL])
def test_padding_and_values_out_of_range_come_back_exactly(name: str) -> None:
    item = a_slice()
    model = a_model() if name == "network" else load.load_by_name(name, torch.device("cpu"))
    out = pipeline.denoise_slice(model, item, 1.0)
    assert np.array_equal(out[:9], item.hu[:9])
    assert np.array_equal(out[60, 60:64], item.hu[60, 60:64])
    assert (out[20:50] != item.hu[20:50]).mean() > 0.3
    assert out.dtype == np.float32


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_classical_filters_remove_noise_and_keep_the_mean(name: str) -> None:
    truth, noisy = body(3, size=512, pixel_mm=0.74).hu[0], scan(3, size=512, pixel_mm=0.74).low.hu[0]
    item = Slice(noisy, np.ones(noisy.shape, bool), 0.0, (0.74, 0.74))
    out = pipeline.denoise_slice(load.load_by_name(name, torch.device("cpu")), item, 1.0)
    # Away from edges, which the scan itself blurs.
    inside = (np.abs(truth) < 300) & (maximum_filter(truth, 9) - minimum_filter(truth, 9) < 60)
    before, after = (np.sqrt(np.mean((image - truth)[inside] ** 2)) for image in (noisy, out))
    assert after < 0.9 * before
    assert abs(float((out - noisy)[inside].mean())) < 2.0


def test_strength_blends_and_zero_is_the_input_itself() -> None:
    item, model = a_slice(), a_model()
    full = pipeline.denoise_slice(model, item, 1.0)
    half = pipeline.denoise_slice(model, item, 0.5)
    assert np.array_equal(pipeline.denoise_slice(model, item, 0.0), item.hu)
    np.testing.assert_allclose(half, item.hu + 0.5 * (full - item.hu), atol=1e-3)
    for wrong in (-0.1, 1.01, float("nan")):
        with pytest.raises(InvalidSetting, match="between 0"):
            pipeline.check_strength(wrong)


def test_padding_does_not_reach_into_the_body() -> None:
    # The stand-in for padding is air, so its stored value must not matter.
    one, model = a_slice(), a_model()
    other = one.hu.copy()
    other[:9] = 0.0
    a = pipeline.denoise_slice(model, one, 1.0)
    b = pipeline.denoise_slice(model, Slice(other, one.valid, 0.0, (3.0, 3.0)), 1.0)
    assert np.array_equal(a[9:], b[9:])


def test_series_is_streamed_in_order_and_the_middle_is_kept() -> None:
    source, sink, seen = MemorySource([a_slice(s) for s in range(5)]), MemorySink(), []
    outcome = pipeline.denoise_series(source, sink, a_model(), 1.0, seen.append)  # type: ignore[arg-type]
    assert seen == [1, 2, 3, 4, 5]
    assert outcome.before is source.slices[2]
    assert outcome.after is sink.written[2]
    assert set(outcome.seconds) == {"read", "denoise", "write"}
    for item, written in zip(source.slices, sink.written, strict=True):
        assert np.array_equal(written, pipeline.denoise_slice(a_model(), item, 1.0))


def test_a_network_that_makes_nan_is_our_fault_not_an_image() -> None:
    model = a_model()
    model.denoiser.network.out.bias.data[0] = float("nan")  # type: ignore[attr-defined]
    with pytest.raises(ArithmeticError, match="not numbers"):
        pipeline.denoise_slice(model, a_slice(), 1.0)


def test_measured_noise_follows_the_dose() -> None:
    found = []
    scans = scan(3, size=512, pixel_mm=0.74)
    for volume in (scans.full, scans.low):
        slices = [Slice(hu, np.ones(hu.shape, bool), 0.0, (0.74, 0.74)) for hu in volume.hu]
        found.append(training_domain.measure_series(MemorySource(slices)))  # type: ignore[arg-type]
    assert found[1].noise_sd / found[0].noise_sd == pytest.approx(2.0, rel=0.15)  # type: ignore[operator]
    assert found[0].pixel_mm == pytest.approx(0.74)
    assert found[0].thickness_mm == 3.0


def test_outside_the_training_range_there_is_a_warning_for_each_quantity() -> None:
    trained = TrainingDomain(noise_sd=(10, 40), noise_f_av=(0.2, 0.4), pixel_mm=(0.7, 0.8), thickness_mm=(3, 3))
    assert training_domain.domain_warnings(SeriesMeasurements(30, 0.3, 0.75, 3.0), trained) == []
    assert training_domain.domain_warnings(SeriesMeasurements(41, 0.3, 0.75, 3.0), trained) == []
    assert len(training_domain.domain_warnings(SeriesMeasurements(80, 0.6, 0.4, 1.0), trained)) == 4
    (text,) = training_domain.domain_warnings(SeriesMeasurements(30, 0.3, 0.75, 5.0), trained)
    assert "5 mm" in text
    assert "3-3 mm" in text
    (text,) = training_domain.domain_warnings(SeriesMeasurements(None, 0.3, 0.75, 3.0), trained)
    assert "not known" in text
    assert training_domain.domain_warnings(SeriesMeasurements(80, 0.6, 0.4, 1.0), TrainingDomain()) == []
    (text,) = training_domain.domain_warnings(SeriesMeasurements(30, 0.3, 0.75, 3.0, orientation="coronal"), trained)
    assert "the slices are coronal" in text
    for axial in ("axial", None):
        known = SeriesMeasurements(5, 0.3, 0.75, 3.0, orientation=axial)  # less noise than in training is no fault
        assert training_domain.domain_warnings(known, trained) == []


def test_devices_and_names() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InvalidSetting, match="auto, cpu or cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidSetting, match="no CUDA"):
            choose_device("cuda")
    with pytest.raises(IncompatibleCheckpoint, match="nlm, tv, gaussian"):
        load.load_by_name("no-such-model", torch.device("cpu"))


@dataclass(frozen=True)
class Positions:
    """Answers with sum of 10^k HU of the k-th slice it sees: of slices that hold their number, the places in order."""

    context: int
    noise_free: ClassVar[bool] = False
    scale: Scale = field(default_factory=Scale)

    def denoise(self, hu: torch.Tensor) -> torch.Tensor:
        assert hu.shape[:2] == (1, 2 * self.context + 1)
        tens = 10.0 ** torch.arange(hu.shape[1] - 1, -1, -1)
        return (hu * tens[None, :, None, None]).sum(1, keepdim=True)


def numbered(positions: list[float | None], shapes: dict[int, tuple[int, int]] | None = None) -> MemorySource:
    """Slices 1, 2, ... of as many HU; thickness 3 mm."""
    slices, planes = [], list[object]()
    for number, position in enumerate(positions):
        shape = (shapes or {}).get(number, (6, 6))
        hu = np.full(shape, number + 1, np.float32)
        slices.append(Slice(hu, np.ones(shape, bool), position, (3.0, 3.0)))
        planes.append(Plane(shape, (3.0, 3.0), position=position))
    return MemorySource(slices, planes=planes)


def seen(source: MemorySource, context: int, strength: float = 1.0) -> list[float]:
    model = LoadedModel("positions", "", Positions(context), None, torch.device("cpu"))
    sink = MemorySink()
    pipeline.denoise_series(source, sink, model, strength, lambda _: None)  # type: ignore[arg-type]
    assert [hu.shape for hu in sink.written] == [item.hu.shape for item in source.slices]
    return [float(hu.mean()) for hu in sink.written]


def test_a_model_with_context_gets_the_neighbours_in_order() -> None:
    assert seen(numbered([0, 3, 6, 9]), 0) == [1, 2, 3, 4]
    assert seen(numbered([0, 3, 6, 9]), 1) == [112, 123, 234, 344]
    assert seen(numbered([0, 3, 6, 9]), 2) == [11123, 21234, 12343, 23444]
    assert seen(numbered([0, 3, 9, 12]), 1) == [112, 122, 334, 344]
    assert seen(numbered([0, 3, None, 9]), 1) == [112, 122, 333, 444]
    assert seen(numbered([None, None]), 1) == [111, 222]
    assert seen(numbered([0, 3, 6, 9], {2: (6, 8)}), 1) == [112, 122, 333, 444]
    assert seen(numbered([5]), 1) == [111]
    assert seen(numbered([0, 3, 6, 9]), 1, strength=0.0) == [1, 2, 3, 4]
    assert seen(numbered([0, 3, 6, 9]), 1, strength=0.5) == [56.5, 62.5, 118.5, 174]


def test_a_single_slice_replaces_its_missing_neighbours() -> None:
    item = numbered([0, 3]).slices[0]
    model = LoadedModel("positions", "", Positions(1), None, torch.device("cpu"))
    assert np.all(pipeline.denoise_slice(model, item, 1.0) == 111)


def test_neighbours_that_the_model_does_not_look_at_are_passed_over() -> None:
    slices = numbered([0, 3, 6, 9, 12]).slices
    model = LoadedModel("positions", "", Positions(1), None, torch.device("cpu"))
    assert np.all(pipeline.denoise_slice(model, slices[2], 1.0, slices) == 234)
    with pytest.raises(AssertionError):
        pipeline.denoise_slice(model, slices[2], 1.0, slices[2:3])


def test_padding_of_a_neighbour_is_air_and_that_of_the_slice_comes_back() -> None:
    source = numbered([0, 3, 6])
    before, item, _ = source.slices
    before.hu[0], before.valid[0] = -3024.0, False
    item.hu[1], item.valid[1] = -2000.0, False
    model, sink = LoadedModel("positions", "", Positions(1), None, torch.device("cpu")), MemorySink()
    pipeline.denoise_series(source, sink, model, 1.0, lambda _: None)  # type: ignore[arg-type]
    assert np.all(sink.written[0][0] == -3024.0)
    assert np.all(sink.written[1][0] == -1000 * 100 + 23)
    assert np.all(sink.written[1][1] == -2000.0)
    assert np.all(sink.written[2][1] == -1000 * 100 + 33)


@pytest.mark.parametrize("context", [0, 1, 2])
@pytest.mark.parametrize("jobs", [1, 2])
def test_memory_is_that_of_the_slices_at_hand(context: int, jobs: int) -> None:
    places, alive, decoded = numbered([3.0 * k for k in range(60)]), [], list[ref[Slice]]()

    class Fresh(MemorySource):
        def read(self, index: int) -> Slice:
            alive.append(sum(other() is not None for other in decoded))
            item = Slice(*(np.copy(part) for part in (self.slices[index].hu, self.slices[index].valid)), 0.0, None)
            decoded.append(ref(item))
            return item

    class Slow(MemorySink):
        def write(self, original: Slice, hu: np.ndarray) -> None:
            time.sleep(0.002)
            super().write(original, hu)

    source, sink = Fresh(places.slices, planes=places.planes), Slow()
    model = LoadedModel("positions", "", Positions(context), None, torch.device("cpu"))
    outcome = pipeline.denoise_series(source, sink, model, 1.0, lambda _: None, jobs)  # type: ignore[arg-type]
    assert len(decoded) == 60  # each once
    # The window that is read, the one that waits for room, those that are denoised, and one each that is handed on,
    # written and kept for the preview.
    assert max(alive) <= 2 * context + 1 + pipeline.AHEAD + pipeline.BEHIND + jobs + 4
    assert outcome.before is not None


@pytest.mark.parametrize(
    ("broken", "kind", "most"),
    [("read", CannotDecode, 11), ("write", OutputRefused, 20), ("interrupt", KeyboardInterrupt, 20)],
)
def test_a_fault_of_reading_or_writing_stops_the_other_stages(
    broken: str, kind: type[BaseException], most: int
) -> None:
    slices = [a_slice(s) for s in range(3)] * 20
    reads: list[int] = []

    class Source(MemorySource):
        def read(self, index: int) -> Slice:
            reads.append(index)
            if index == 10 and broken == "read":
                raise CannotDecode("slice 10")
            return super().read(index)

    class Sink(MemorySink):
        def write(self, original: Slice, hu: np.ndarray) -> None:
            super().write(original, hu)
            if len(self.written) == 3 and broken == "write":
                raise OutputRefused("disk full")
            if len(self.written) == 3 and broken == "interrupt":
                raise KeyboardInterrupt

    sink, before = Sink(), threading.active_count()
    with pytest.raises(kind):
        pipeline.denoise_series(Source(slices), sink, a_model(), 1.0, lambda _: None)  # type: ignore[arg-type]
    assert len(reads) <= most
    assert threading.active_count() == before


def test_several_jobs_give_what_one_gives_in_the_same_order() -> None:
    slices, sinks = [a_slice(s) for s in range(7)], [MemorySink(), MemorySink()]
    threads = torch.get_num_threads()
    for jobs, sink in zip((1, 3), sinks, strict=True):
        pipeline.denoise_series(MemorySource(slices), sink, a_model(), 1.0, lambda _: None, jobs)  # type: ignore[arg-type]
    assert torch.get_num_threads() == threads
    for one, other in zip(*(sink.written for sink in sinks), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    with pytest.raises(InvalidSetting, match="jobs 0"):
        pipeline.denoise_series(MemorySource(slices), MemorySink(), a_model(), 1.0, lambda _: None, 0)  # type: ignore[arg-type]


class EngineThatCounts:
    """Runs the network itself, and counts how many threads are in each compiled network at a time."""

    name = version = "counting"
    keeps_files = False

    def __init__(self) -> None:
        self.most: list[int] = []
        self.runs = 0

    def compile(self, work: CompileRequest) -> CompiledNetwork:
        number, inside = len(self.most), list[int]()
        self.most.append(0)

        def run(units: torch.Tensor) -> torch.Tensor:
            inside.append(threading.get_ident())
            self.runs += 1
            self.most[number] = max(self.most[number], len(inside))
            time.sleep(0.02)  # so that every thread gets some of the slices
            result: torch.Tensor = work.network(units)
            inside.remove(threading.get_ident())
            return result

        return run


def test_a_compiled_network_serves_one_thread_at_a_time() -> None:
    model, engine = a_model(), EngineThatCounts()
    model = replace(model, denoiser=EngineDenoiser(model.denoiser, engine, EXACT))  # type: ignore[arg-type]
    slices = [a_slice(s) for s in range(9)]
    pipeline.denoise_series(MemorySource(slices), MemorySink(), model, 1.0, lambda _: None, 3)  # type: ignore[arg-type]
    assert len(engine.most) > 1
    assert engine.most == [1] * len(engine.most)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.0])
def test_slices_that_were_denoised_to_measure_the_noise_are_not_denoised_again(strength: float) -> None:
    slices = [a_slice(seed) for seed in range(5)]
    model = replace(a_model(), noise_kept=0.3)
    unmixed = replace(model, noise_kept=0.0)
    known = {index: pipeline.denoise_slice(unmixed, slices[index], 1.0) for index in (1, 4)}
    engine, sinks = EngineThatCounts(), [MemorySink(), MemorySink()]
    for sink, given in zip(sinks, ({}, known), strict=True):
        engine.runs = 0
        counting = replace(model, denoiser=EngineDenoiser(model.denoiser, engine, EXACT))  # type: ignore[arg-type]
        pipeline.denoise_series(MemorySource(slices), sink, counting, strength, lambda _: None, known=given)  # type: ignore[arg-type]
        assert engine.runs == (len(slices) - len(given) if strength else 0)
    for one, other in zip(*(sink.written for sink in sinks), strict=True):
        np.testing.assert_array_equal(one, other)


def test_slices_of_one_size_are_batched_and_the_batch_changes_nothing() -> None:
    small, large = a_slice(0), a_slice(1)
    large = Slice(np.pad(large.hu, 8, mode="reflect"), np.pad(large.valid, 8), 0.0, (3.0, 3.0))
    slices = [small] * 5 + [large] * 2 + [small]
    sizes = [[len(work.around) for work in pipeline._groups(MemorySource(slices), 0, most)] for most in (1, 4)]  # type: ignore[arg-type]
    assert sizes == [[1] * 8, [4, 1, 2, 1]]
    together = pipeline.denoise_slices(a_model(), [[a_slice(0)], [a_slice(1)]], 1.0)
    for seed, one in enumerate(together):
        np.testing.assert_allclose(one, pipeline.denoise_slice(a_model(), a_slice(seed), 1.0), atol=1e-3)


def test_without_context_the_result_is_that_of_the_slice_alone() -> None:
    # The shipped network on a small body, and every step of a single slice written out.
    model, item = load.load_by_name("leda_esau_net", torch.device("cpu")), a_slice(1)
    denoiser = model.denoiser
    assert isinstance(denoiser, Denoiser)
    assert denoiser.context == 0
    hu = torch.from_numpy(np.where(item.valid, item.hu, np.float32(-1000.0)))[None, None]
    inside, side = hu.clamp(denoiser.scale.low, denoiser.scale.high), hu.shape[-1]
    with torch.inference_mode():
        unit = denoiser.network(pad_to(denoiser.scale.encode(inside), 8, 16))
        clean = denoiser.scale.decode(unit)[..., MARGIN : MARGIN + side, MARGIN : MARGIN + side]
        whole = denoiser.scale.blend(hu, keep_local_means(inside, clean))[0, 0].numpy()
    expected = np.where(item.valid, whole, item.hu)
    assert np.array_equal(pipeline.denoise_slice(model, item, 1.0), expected)
    sink = MemorySink()
    pipeline.denoise_series(MemorySource([item] * 3), sink, model, 1.0, lambda _: None)  # type: ignore[arg-type]
    assert all(np.array_equal(hu, expected) for hu in sink.written)


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_classical_filters_look_at_one_slice(name: str) -> None:
    model, item = load.load_by_name(name, torch.device("cpu")), a_slice()
    others = [a_slice(1), item, a_slice(2)]
    assert np.array_equal(pipeline.denoise_slice(model, item, 1.0), pipeline.denoise_slice(model, item, 1.0, others))
