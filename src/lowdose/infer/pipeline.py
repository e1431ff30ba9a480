"""A series through a denoiser, slice by slice: nothing but the slice at hand and its neighbours is held in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from lowdose.errors import InvalidSetting
from lowdose.infer import dose
from lowdose.infer.models import ReadyModel
from lowdose.io.neighbours import windows
from lowdose.io.source import Sink, Source
from lowdose.volume import HU, Slice


@dataclass
class Outcome:
    """Seconds spent reading, denoising and writing; and one slice (before, after) for the preview."""

    slices: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "denoise": 0.0, "write": 0.0})
    before: Slice | None = None
    after: HU | None = None


def check_strength(strength: float) -> None:
    """Raises InvalidSetting outside [0, 1]."""
    if not 0.0 <= strength <= 1.0:
        raise InvalidSetting(f"--strength {strength}: must be between 0 (the input) and 1 (the model's full output)")


def denoise_slice(model: ReadyModel, item: Slice, strength: float, around: Sequence[Slice] = ()) -> HU:
    """(y, x) HU. Padding, values outside the model's range and strength 0 give the input bit for bit.

    around: ``item`` amid its neighbours (``io.neighbours.windows``), as many on each side as the model looks at, or
    more; without any, ``item`` stands in for its neighbours.
    """
    if strength == 0.0:
        return item.hu
    # The network never saw padding: air stands in for it, and the original value comes back afterwards.
    hu = item.in_air
    seen = torch.from_numpy(np.stack([hu if one is item else one.in_air for one in _seen(model, item, around)]))
    clean = model.denoiser.denoise(seen[None].to(model.device))[0, 0].cpu().numpy()
    if not np.isfinite(clean).all():
        raise ArithmeticError(f"model '{model.name}' produced values that are not numbers")
    strength *= 1 - dose.kept(model, item)
    mixed = clean if strength == 1.0 else hu + np.float32(strength) * (clean - hu)
    return np.where(item.valid, mixed, item.hu)


def _seen(model: ReadyModel, item: Slice, around: Sequence[Slice]) -> Sequence[Slice]:
    """The slices that the model is to see, in order."""
    context = model.denoiser.context
    if not around:
        return [item] * (2 * context + 1)
    middle = len(around) // 2
    return around[middle - context : middle + context + 1]


def denoise_series(
    source: Source, sink: Sink, model: ReadyModel, strength: float, progress: Callable[[int], None]
) -> Outcome:
    """Every slice of ``source`` into ``sink``; ``progress`` gets the number done. The middle slice is kept."""
    outcome, context = Outcome(), model.denoiser.context
    start = time.perf_counter()
    for around in windows(source, context):  # not by enumerate, which holds on to what it gave
        item = around[context]
        decoded = time.perf_counter()
        hu = denoise_slice(model, item, strength, around)
        denoised = time.perf_counter()
        sink.write(item, hu)
        written = time.perf_counter()
        for step, spent in zip(outcome.seconds, (decoded - start, denoised - decoded, written - denoised), strict=True):
            outcome.seconds[step] += spent
        if outcome.slices == len(source) // 2:
            outcome.before, outcome.after = item, hu
        outcome.slices += 1
        progress(outcome.slices)
        del item, around  # lets the window move on without an old slice in memory
        start = time.perf_counter()
    return outcome
