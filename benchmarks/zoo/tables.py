"""Markdown cells and tables, and rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lowdose.metrics.statistics import Summary, summarise

Row = dict[str, Any]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def cell(found: Summary | None, digits: int, sign: str = "") -> str:
    """'1.23 (1.10–1.36)': mean and 95 % bootstrap interval."""
    if found is None:
        return "–"
    low_high = found.interval
    span = f" ({low_high[0]:{sign}.{digits}f}–{low_high[1]:{sign}.{digits}f})" if low_high else ""
    return f"{found.mean:{sign}.{digits}f}{span}"


def mean(rows: Iterable[Row], key: str) -> Summary | None:
    """Of the rows that have ``key``; over patients where there are five or more of them."""
    values: list[tuple[float, Hashable]] = [(row[key], row["patient"]) for row in rows if row.get(key) is not None]
    return summarise([value for value, _ in values], [patient for _, patient in values], seed=0) if values else None


def counted(rows: Iterable[Row]) -> str:
    """'24 slices of 5 patients', by the rows' own names of them."""
    rows = list(rows)
    slices, patients = {row["slice"] for row in rows}, {row["patient"] for row in rows}
    return " of ".join(
        f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((len(slices), "slice"), (len(patients), "patient"))
    )


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """The values of a column in the order they come in."""
    return list(dict.fromkeys(row[key] for row in rows))


def save(out: Path, name: str, settings: Mapping[str, object], rows: Sequence[Row]) -> None:
    """OUT/name.json: what was asked for, and a row a measurement."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"settings": dict(settings), "rows": rows}, indent=1))
