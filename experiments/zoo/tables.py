"""Rows of measurements: means, counts and JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lowdose.metrics.statistics import Summary, summarise

Row = dict[str, Any]


def column_mean(rows: Iterable[Row], key: str) -> Summary | None:
    """Return the mean of the rows that have ``key``.

    Its interval is over patients where there are at least five of them.
    """
    values: list[tuple[float, Hashable]] = [(row[key], row["patient"]) for row in rows if row.get(key) is not None]
    return summarise([value for value, _ in values], [patient for _, patient in values], seed=0) if values else None


def count_text(rows: Iterable[Row]) -> str:
    """Return '24 slices of 5 patients'."""
    rows = list(rows)
    slices, patients = {row["slice"] for row in rows}, {row["patient"] for row in rows}
    return " of ".join(
        f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((len(slices), "slice"), (len(patients), "patient"))
    )


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """Return the values of a column in order of appearance."""
    return list(dict.fromkeys(row[key] for row in rows))


def save(out: Path, name: str, settings: Mapping[str, object], rows: Sequence[Row]) -> None:
    """Write OUT/NAME.json: the settings, and a row for each measurement."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"settings": dict(settings), "rows": rows}, indent=1))
