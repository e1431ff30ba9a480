"""Run a series through a denoiser: slices are read, denoised and written at the same time, a few in memory at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from lowdose.errors import InvalidSetting
from lowdose.image import HU, Slice
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.prefetch import map_in_order, read_ahead, write_behind
from lowdose.io.neighbours import slice_windows
from lowdose.io.source import SliceSink, Source
from lowdose.models import noise_retention
from lowdose.models.load import HUDenoiser, LoadedModel

GPU_BATCH = 4
"""Batch of slices of one size on a GPU; a CPU is fastest with one, which fits its caches better."""

AHEAD, BEHIND = 2, 2
"""Groups of slices read ahead of denoising, and slices denoised ahead of writing."""


class SliceGroup(NamedTuple):
    """Slices of one size, each with its neighbours, the index of the first, and the time that reading them took."""

    first: int
    around: list[list[Slice]]
    seconds: float


class DenoisedGroup(NamedTuple):
    """Slices before and after, and the time that reading and denoising them took."""

    before: list[Slice]
    after: list[HU]
    read: float
    denoise: float


@dataclass
class SeriesResult:
    """What a run over a series did.

    Attributes
    ----------
    slices : int
        Slices written.
    seconds : dict
        Time of reading, denoising and writing, which overlap.
    before, after : Slice and numpy.ndarray, or None
        The middle slice, for a preview.
    engines : list of str
        Engines that ran the network, in order; several where another one took over.
    """

    slices: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "denoise": 0.0, "write": 0.0})
    before: Slice | None = None
    after: HU | None = None
    engines: list[str] = field(default_factory=list)

    def add(self, other: SeriesResult) -> None:
        """Take up the result for a further stack of the series, and its middle slice if there is none yet."""
        self.slices += other.slices
        self.engines += [engine for engine in other.engines if engine not in self.engines]
        for step, spent in other.seconds.items():
            self.seconds[step] += spent
        if self.before is None:
            self.before, self.after = other.before, other.after


def check_strength(strength: float) -> None:
    """Raise InvalidSetting for a strength outside [0, 1]."""
    if not 0.0 <= strength <= 1.0:
        raise InvalidSetting(f"--strength {strength}: must be between 0 (the input) and 1 (the model's full output)")


def denoise_slice(model: LoadedModel, item: Slice, strength: float, around: Sequence[Slice] = ()) -> HU:
    """Denoise one slice and return (y, x) HU.

    Padding, values outside the model's range and strength 0 give the input bit for bit. around: ``item`` with its
    neighbours (``io.neighbours.slice_windows``), at least as many on each side as the model looks at; without any,
    ``item`` stands in for its neighbours.
    """
    context = model.denoiser.context
    seen = around or [item] * (2 * context + 1)
    middle = len(seen) // 2
    return denoise_slices(model, [seen[middle - context : middle + context + 1]], strength)[0]


def denoise_slices(model: LoadedModel, around: Sequence[Sequence[Slice]], strength: float) -> list[HU]:
    """Denoise several slices of one size, each with exactly as many neighbours as the model looks at."""
    items = [seen[len(seen) // 2] for seen in around]
    if strength == 0.0:
        return [item.hu for item in items]
    # The network never saw padding: air stands in for it, and the original value comes back afterwards.
    air = {id(one): one.in_air for seen in around for one in seen}
    stack = torch.from_numpy(np.stack([[air[id(one)] for one in seen] for seen in around]))
    clean = model.denoiser.denoise(stack.to(model.device))[:, 0].cpu().numpy()
    if not np.isfinite(clean).all():
        raise ArithmeticError(f"model '{model.name}' produced values that are not numbers")
    return [_mixed(model, item, air[id(item)], one, strength) for item, one in zip(items, clean, strict=True)]


def _mixed(model: LoadedModel, item: Slice, hu: HU, clean: HU, strength: float) -> HU:
    strength *= 1 - noise_retention.noise_kept(model, item)
    mixed = clean if strength == 1.0 else hu + np.float32(strength) * (clean - hu)
    return np.where(item.valid, mixed, item.hu)


def _denoise_group(model: LoadedModel, work: SliceGroup, strength: float, known: Mapping[int, HU]) -> list[HU]:
    """Denoise a group of slices, but for those that were denoised before: these are only mixed."""
    numbered = list(enumerate(work.around, work.first))
    new = [seen for number, seen in numbered if number not in known]
    made = iter(denoise_slices(model, new, strength) if new else [])
    after = []
    for number, seen in numbered:
        item = seen[len(seen) // 2]
        after.append(_mixed(model, item, item.in_air, known[number], strength) if number in known else next(made))
    return after


def check_jobs(jobs: int) -> None:
    """Raise InvalidSetting for less than one slice at a time."""
    if jobs < 1:
        raise InvalidSetting(f"--jobs {jobs}: must be at least 1")


def denoise_series(
    source: Source,
    sink: SliceSink,
    model: LoadedModel,
    strength: float,
    progress: Callable[[int], None],
    jobs: int = 1,
    known: Mapping[int, HU] = MappingProxyType({}),
) -> SeriesResult:
    """Denoise every slice of ``source`` into ``sink``, in order.

    progress: called with the number of slices done. jobs: groups of slices that are denoised at the same time, each
    with its share of the processor's threads. known: what the model makes of some slices at strength 1 with no noise
    kept, by index. Raises InvalidSetting for less than one job.
    """
    check_jobs(jobs)
    result, threads = SeriesResult(), max(1, torch.get_num_threads() // jobs)
    models = [model] if jobs == 1 else [replace(model, denoiser=_copy_for_thread(model)) for _ in range(jobs)]

    def start() -> None:
        torch.set_num_threads(threads)  # of this thread alone

    def compute(work: SliceGroup) -> DenoisedGroup:
        own = models.pop()  # as many as there are threads: a compiled network serves one at a time
        begun = time.perf_counter()
        try:
            after = _denoise_group(own, work, strength, known if strength else {})
            if (engine := _engine_of(own)) not in result.engines:
                result.engines.append(engine)
        finally:
            models.append(own)
        context = model.denoiser.context
        return DenoisedGroup([seen[context] for seen in work.around], after, work.seconds, time.perf_counter() - begun)

    def write(done: DenoisedGroup) -> None:
        begun = time.perf_counter()
        for before, after in zip(done.before, done.after, strict=True):
            sink.write(before, after)
            if result.slices == len(source) // 2:
                result.before, result.after = before, after
            result.slices += 1
            progress(result.slices)
        for step, spent in zip(result.seconds, (done.read, done.denoise, time.perf_counter() - begun), strict=True):
            result.seconds[step] += spent

    batch = GPU_BATCH if model.device.type == "cuda" else 1
    with (
        read_ahead(_groups(source, model.denoiser.context, batch), AHEAD) as groups,
        write_behind(write, BEHIND) as written,
    ):
        for done in map_in_order(compute, groups, jobs, start):
            written(done)
            del done
    return result


def _copy_for_thread(model: LoadedModel) -> HUDenoiser:
    """Return a denoiser that one more thread may use: a compiled network serves one thread at a time."""
    denoiser = model.denoiser
    return denoiser.copy_for_thread() if isinstance(denoiser, EngineDenoiser) else denoiser


def _engine_of(model: LoadedModel) -> str:
    """Return the name of the engine that ran last."""
    return model.denoiser.engine.name if isinstance(model.denoiser, EngineDenoiser) else model.engine


def _groups(source: Source, context: int, most: int) -> Iterator[SliceGroup]:
    """Yield neighbouring slices of one size, at most ``most`` at a time, as they are read."""
    begun, first, held = time.perf_counter(), 0, list[list[Slice]]()
    for around in slice_windows(source, context):  # not by enumerate, which holds on to what it gave
        if held and around[context].hu.shape != held[0][context].hu.shape:
            yield SliceGroup(first, held, time.perf_counter() - begun)
            begun, first, held = time.perf_counter(), first + len(held), []
        held.append(around)
        del around  # lets the window move on without an old slice in memory
        if len(held) == most:
            yield SliceGroup(first, held, time.perf_counter() - begun)
            begun, first, held = time.perf_counter(), first + len(held), []
    if held:
        yield SliceGroup(first, held, time.perf_counter() - begun)
