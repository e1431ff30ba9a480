"""Speed of several engines on one image: processor time, in turns, as medians; and which engine follows from it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from lowdose import memory
from lowdose.infer.engines.accelerated import EngineDenoiser

ROUNDS = 5
"""Timed turns of each engine."""

HOPELESS = 2.0
"""An engine that takes so many times as long as the fastest one in its first turn gets no further turns."""

NOISE = 1.15
"""Ratio of times up to which two engines count as equally fast; the one that is preferred then runs."""

Seconds = Mapping[str, float]
"""Processor time of each engine, s; infinite for one that failed."""


def measure_seconds(
    denoisers: Sequence[EngineDenoiser], hu: Tensor, clock: Callable[[], float] = time.process_time
) -> Seconds:
    """Return the median processor time in which each denoiser denoises ``hu``, (B, 2c+1, H, W) HU, by name.

    They take turns, so that other work on the machine slows all alike. What it takes from them in waiting does not
    count, as it does by the clock on the wall. The first run of each, which compiles, does not count either.
    """
    spent: dict[str, list[float]] = {}
    for each in denoisers:
        try:
            each.denoise(hu)
            spent[each.name] = []
        except Exception:  # an engine may raise anything, and there are others to choose from
            continue
        finally:
            memory.release_unused()  # what compiling left would add to what the next engine takes
    for _ in range(ROUNDS):
        for each in denoisers:
            if each.name in spent and not _is_hopeless(spent, each.name):
                begun = clock()
                each.denoise(hu)
                spent[each.name].append(clock() - begun)
    return {each.name: statistics.median(spent[each.name]) if each.name in spent else math.inf for each in denoisers}


def _is_hopeless(spent: Mapping[str, Sequence[float]], name: str) -> bool:
    first = [times[0] for times in spent.values() if times]
    return bool(spent[name]) and spent[name][0] > HOPELESS * min(first)


def fastest(seconds: Seconds) -> str:
    """Return the engine to use: the first in the order of ``seconds`` that is as fast as the fastest, within noise."""
    best = min(seconds.values())
    return next(name for name, spent in seconds.items() if spent <= NOISE * best)
