"""Comparison of engines: medians of processor time in turns, failures, hopeless ones, and who wins within noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lowdose.infer.engines.comparison import HOPELESS, NOISE, ROUNDS, fastest, measure_seconds


class Timed:
    """A denoiser whose runs take given seconds of a clock."""

    def __init__(self, clock: Clock, name: str, *seconds: float) -> None:
        self.clock, self.name, self.seconds, self.runs = clock, name, seconds, 0

    def denoise(self, hu: torch.Tensor) -> torch.Tensor:
        if not self.seconds:
            raise OSError("no such instruction")
        if self.runs:  # the first run, which compiles, takes much longer
            self.clock.now += self.seconds[min(self.runs, len(self.seconds)) - 1]
        else:
            self.clock.now += 100.0
        self.runs += 1
        return hu


class Clock:
    """Seconds that pass only where something is denoised."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def measure(clock: Clock, *denoisers: Any) -> dict[str, float]:
    return dict(measure_seconds(denoisers, torch.zeros(1, 1, 8, 8), clock))


def test_the_median_counts_and_neither_compiling_nor_one_slow_turn() -> None:
    clock = Clock()
    one, other = Timed(clock, "one", 1.0, 9.0, 1.0, 1.2, 1.0), Timed(clock, "other", 1.5)
    assert measure(clock, one, other) == pytest.approx({"one": 1.0, "other": 1.5})
    assert one.runs == other.runs == ROUNDS + 1


def test_what_fails_and_what_is_hopeless_takes_no_more_turns() -> None:
    clock = Clock()
    fine, broken, slow = Timed(clock, "fine", 1.0), Timed(clock, "broken"), Timed(clock, "slow", HOPELESS + 0.1)
    assert measure(clock, fine, broken, slow) == pytest.approx(
        {"fine": 1.0, "broken": math.inf, "slow": HOPELESS + 0.1}
    )
    assert slow.runs == 2


def test_the_preferred_engine_wins_within_noise() -> None:
    assert fastest({"ours": NOISE - 0.01, "theirs": 1.0}) == "ours"
    assert fastest({"ours": NOISE + 0.01, "theirs": 1.0}) == "theirs"
    assert fastest({"ours": math.inf, "theirs": 1.0, "others": 0.99}) == "theirs"
