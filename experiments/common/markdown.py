"""Markdown tables, and cells with a mean and its confidence interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lowdose.metrics.statistics import Summary


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def interval_cell(value: float, interval: Sequence[float] | None, number: str = ".2f", to: str = "–") -> str:
    """Return a value with its interval, '1.23 (1.10–1.36)'; ``number`` is the format of each."""
    span = f" ({interval[0]:{number}}{to}{interval[1]:{number}})" if interval else ""
    return f"{value:{number}}{span}"


def summary_cell(summary: Summary | None, digits: int, sign: str = "") -> str:
    """Return a mean with its 95 % bootstrap interval, or a dash where nothing was measured."""
    return "–" if summary is None else interval_cell(summary.mean, summary.interval, f"{sign}.{digits}f")
