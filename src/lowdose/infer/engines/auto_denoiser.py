"""A denoiser that runs on the engine that is fastest for the images that it gets, as measured on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from lowdose import memory
from lowdose.infer.engines import engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.base import EXACT, Engine
from lowdose.infer.engines.comparison import Seconds, fastest, measure_seconds
from lowdose.infer.engines.verified import Verifier

FIRST_LOOK, LOOK_AGAIN = 200, 1000
"""Slices of one size after which the engines are compared: where nothing was measured yet, and since it was.

A comparison takes as long as some twenty slices, most of it to compile the other engines: too long for short series,
which run on the engine that is preferred.
"""

Say = Callable[[str], None]
"""Function that gets messages for the user."""

Candidate = tuple[Engine, str]
"""An engine and its accuracy."""


@dataclass
class _Choice:
    """Denoiser for images of one size class, slices that it has denoised, and after how many engines are compared."""

    denoiser: EngineDenoiser
    next_look: int
    slices: int = 0


def size_class(hu: Tensor) -> str:
    """Return the class of images of about this size, among which the same engine is the fastest: a power of two."""
    return f"2^{round(math.log2(hu.numel()))} pixels"


class AutoDenoiser(EngineDenoiser):
    """Denoiser that starts on a preferred engine and, in a long series, takes the one that turns out to be fastest.

    Attributes
    ----------
    candidates : sequence of (Engine, str)
        Engines and accuracies to choose from, the preferred first.
    verifier : Verifier
        Answers which of them are accurate.
    say : callable
        Gets a message when another engine takes over.
    measure_now : bool
        Whether engines are compared on the first slice, whatever is in the cache.
    compare : bool
        Whether engines are compared at all; not where several denoisers run at a time, whose times would mix.
    """

    def __init__(
        self,
        first: EngineDenoiser,
        candidates: Sequence[Candidate],
        verifier: Verifier,
        say: Say,
        measure_now: bool = False,
        compare: bool = True,
    ) -> None:
        super().__init__(first.plain, first.engine, first.accuracy, first.exact)
        self.candidates, self.verifier, self.say = candidates, verifier, say
        self.measure_now, self.compare = measure_now, compare
        self._first, self._choices = first, dict[str, _Choice]()

    def copy_for_thread(self) -> EngineDenoiser:
        """Return a denoiser for another thread, which uses what was measured and measures nothing itself."""
        first = self._first.copy_for_thread()
        return AutoDenoiser(first, self.candidates, self.verifier, self.say, compare=False)

    def denoise(self, hu: Tensor) -> Tensor:
        """Denoise (B, 2c+1, H, W) HU to (B, 1, H, W) HU; see ``Denoiser.denoise``."""
        size = size_class(hu)
        choice = self._choices.get(size) or self._choices.setdefault(size, self._first_choice(size))
        if self.compare and len(self.candidates) > 1 and choice.slices >= choice.next_look:
            self._compare(choice, size, hu)
        choice.slices += hu.shape[0]
        self.engine = choice.denoiser.engine
        return choice.denoiser.denoise(hu)

    def _first_choice(self, size: str) -> _Choice:
        """Choose by what the cache says of this size class; without anything there, the preferred engine."""
        if self.measure_now:
            return _Choice(self._first, 0)
        entry = engine_cache.read_entry(self._key(size))
        if entry is None:
            return _Choice(self._first, FIRST_LOOK)
        return _Choice(self._fastest_accurate(entry["seconds"], self._first, self._rivals(self._first)), LOOK_AGAIN)

    def _compare(self, choice: _Choice, size: str, hu: Tensor) -> None:
        """Measure all candidates on ``hu`` and go on with the fastest accurate one."""
        before = choice.denoiser
        rivals = self._rivals(before)
        seconds = measure_seconds(list(rivals.values()), hu)
        engine_cache.write_entry(self._key(size), {"size": size, "seconds": dict(seconds)})
        choice.denoiser = self._fastest_accurate(seconds, before, rivals, hu)
        choice.next_look = choice.slices + LOOK_AGAIN
        times = ", ".join(f"{name} {1000 * spent:.0f}" for name, spent in seconds.items() if math.isfinite(spent))
        if choice.denoiser is not before or self.measure_now:
            self.say(f"{choice.denoiser.name} is the fastest engine; ms of processor time a slice: {times}")

    def _rivals(self, running: EngineDenoiser) -> dict[str, EngineDenoiser]:
        """Return a denoiser for each candidate by name, in the order of preference; ``running`` is one of them."""
        fallbacks = {level: None if level == EXACT else self.exact for _, level in self.candidates}
        made = [
            EngineDenoiser(self.plain, engine, level, fallbacks[level])
            for engine, level in self.candidates
            if engine.supports(level)
        ]
        return {each.name: each for each in made} | {running.name: running}

    def _fastest_accurate(
        self, seconds: Seconds, before: EngineDenoiser, rivals: Mapping[str, EngineDenoiser], hu: Tensor | None = None
    ) -> EngineDenoiser:
        """Return the fastest denoiser that is accurate on the built-in slice and, if it is a fast one, on ``hu``."""
        left = {name: spent for name, spent in seconds.items() if name in rivals and math.isfinite(spent)}
        while left:
            best = rivals[fastest(left)]
            if best is before:
                break
            if not self.verifier.fault(best.engine, best.accuracy) and not self._fault_on(hu, best):
                return best
            del left[best.name]
        return before

    def _fault_on(self, hu: Tensor | None, denoiser: EngineDenoiser) -> str:
        """Return what is wrong with a fast denoiser on ``hu``; '' for an exact one."""
        if denoiser.exact is None or hu is None:
            return ""
        right, found = (each.denoise(hu).cpu().numpy() for each in (denoiser.exact, denoiser))
        return Difference.between(right, found).fault(denoiser.accuracy)

    def _key(self, size: str) -> str:
        versions = {f"{engine.name} {accuracy}": engine.version for engine, accuracy in self.candidates}
        allocator = "kept" if memory.is_kept() else "returned"
        return engine_cache.entry_key(
            what="speed", size=size, allocator=allocator, **versions, **self.verifier.identity
        )
