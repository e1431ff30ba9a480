"""Which rows are twins, and the paired differences of two rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.leaderboard.row import TWIN
from lowdose.metrics.statistics import Summary, paired_difference

Row = Mapping[str, Any]


def is_twin(twin: Row, row: Row) -> bool:
    """Return whether ``twin`` is the same network trained with mean squared error, at equal cost or as many steps."""
    same = "network" in row and all(twin.get(key) == row[key] for key in ("network", "budget"))
    whole = all(each.get("steps") == each.get("budget_steps") for each in (twin, row))
    return same and twin["method"].startswith(TWIN) and (whole or twin["steps"] == row["steps"])


def difference(slices: Sequence[Row], others: Sequence[Row], figure: Callable[[Row], float | None]) -> Summary | None:
    """Summarise a figure of the slices minus that of the others, slice by slice; None where no pair has both."""
    pairs = [
        (a, b, one["patient"])
        for one, other in zip(slices, others, strict=True)
        if (a := figure(one)) is not None and (b := figure(other)) is not None
    ]
    return paired_difference(*map(list, zip(*pairs, strict=True)), seed=0) if pairs else None  # type: ignore[arg-type]


def excludes_zero(found: Summary | None) -> bool:
    """Return whether the interval of a difference lies above or below 0."""
    return found is not None and found.interval is not None and found.interval[0] * found.interval[1] > 0
