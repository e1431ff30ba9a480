"""What ``lowdose evaluate`` is given: pairs of series, series alone, label maps, opened and under public names."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lowdose.cli.terminal import say, say_all

if TYPE_CHECKING:
    from lowdose.io.label_map import LabelMap
    from lowdose.io.pairing import PairedSeries


def open_cases(stack: ExitStack, low: list[Path], full: list[Path], data: Path | None) -> list[PairedSeries]:
    """The pairs asked for, opened for as long as ``stack`` lives.

    Raises InvalidSetting when neither pairs nor a folder of pairs is given, or not the same number of both.
    """
    from lowdose.errors import InvalidSetting
    from lowdose.io.pairing import find_pairs, open_pairs

    if data is not None and (low or full):
        raise InvalidSetting("give either --data or --low with --full, not both")
    if len(low) != len(full) or not (low or data):
        raise InvalidSetting(f"{len(low)} --low and {len(full)} --full: give one --full for each --low, or --data")
    places = [(p.name, p.low, p.full) for p in find_pairs(data)] if data else []
    places += [("", a, b) for a, b in zip(low, full, strict=True)]
    return [named(case, number) for number, case in enumerate(open_pairs(stack, places), start=1)]


def open_alone(stack: ExitStack, full: list[Path]) -> list[PairedSeries]:
    """Full-dose series without a partner: ``low`` is the very same source as ``full``."""
    from lowdose.io.pairing import open_pairs

    return [
        named(replace(case, low=case.full), number)
        for number, case in enumerate(open_pairs(stack, [("", path, path) for path in full]), start=1)
    ]


def named(case: PairedSeries, number: int) -> PairedSeries:
    """The case under a number: folders are often named after patients, and their names stay on the terminal."""
    kernel = case.full.acquisition.kernel
    label = f"series {number} ({kernel})" if kernel else f"series {number}"
    if case.name:
        say(f"{label}: {case.name}")
    return replace(case, name=label)


def open_given(stack: ExitStack, labels: list[Path], cases: int, data: Path | None) -> list[LabelMap]:
    """The label maps, one for each series, for as long as ``stack`` lives.

    Raises InvalidSetting for another number, and where it cannot be known which belongs to which.
    """
    from lowdose.errors import InvalidSetting
    from lowdose.io.label_map import open_labels

    if len(labels) > 1 and data is not None:
        raise InvalidSetting("--labels with --data: name the series by --low and --full, so that each has its labels")
    if labels and len(labels) != cases:
        raise InvalidSetting(
            f"{len(labels)} --labels for {cases} series: give one for each, in the order of the --full"
        )
    scratch = Path(stack.enter_context(TemporaryDirectory(prefix="lowdose-")))
    return [open_labels(path, scratch) for path in labels]


def told(cases: list[PairedSeries], found: list[str]) -> list[str]:
    """Every warning once, said and given back."""
    lines = list(dict.fromkeys([*(f"{case.name}: {text}" for case in cases for text in case.warnings), *found]))
    say_all("warning", lines)
    return lines


def uids(cases: list[PairedSeries]) -> list[dict[str, object]]:
    """Of every case, for summary.json only."""
    return [{"case": case.name, "low": case.low.uids, "full": case.full.uids} for case in cases]
