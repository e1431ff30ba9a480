"""Pairs of series and label maps for an evaluation, opened and under names that tell nothing of the patient."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

from lowdose.api.checks import path_of
from lowdose.api.reading import Input, Spacing, open_input
from lowdose.errors import InvalidSetting
from lowdose.io.label_map import LabelMap, open_labels
from lowdose.io.pairing import PairedSeries, find_pairs, open_pairs, pair_sources
from lowdose.io.stated_sizes import Sizes
from lowdose.logger import log, log_lines


def open_cases(
    stack: ExitStack,
    low: Sequence[Input],
    full: Sequence[Input],
    data: str | PathLike[str] | None,
    spacing: Spacing | None,
    sizes: Sizes,
) -> list[PairedSeries]:
    """Open the pairs for as long as ``stack`` lives; ``sizes`` are those of series that state none.

    Raises InvalidSetting when neither pairs nor a folder of pairs is given, or not as many low as full series.
    """
    if data is not None and (low or full):
        raise InvalidSetting("give either --data or --low with --full, not both")
    if len(low) != len(full) or not (low or data):
        raise InvalidSetting(f"{len(low)} --low and {len(full)} --full: give one --full for each --low, or --data")
    if data is not None:
        cases = open_pairs(
            stack, [(pair.name, pair.low, pair.full) for pair in find_pairs(path_of(data, "data"))], sizes
        )
    else:
        opened = [[stack.enter_context(open_input(item, None, _of(item, spacing), sizes)) for item in pair]
                  for pair in zip(low, full, strict=True)]  # fmt: skip
        cases = pair_sources([("", one, other) for one, other in opened])
    return [_numbered(case, number) for number, case in enumerate(cases, start=1)]


def open_full_only(
    stack: ExitStack, full: Sequence[Input], spacing: Spacing | None, sizes: Sizes
) -> list[PairedSeries]:
    """Open full-dose series without a partner: ``low`` is the very same source as ``full``."""
    opened = [stack.enter_context(open_input(item, None, _of(item, spacing), sizes)) for item in full]
    cases = pair_sources([("", source, source) for source in opened])
    return [_numbered(case, number) for number, case in enumerate(cases, start=1)]


def _of(item: Input, spacing: Spacing | None) -> Spacing | None:
    """Return the spacing for arrays; everything else states its own."""
    return spacing if hasattr(item, "dtype") else None


def _numbered(case: PairedSeries, number: int) -> PairedSeries:
    """Name a case by its number: folders are often named after patients, and their names stay in the log."""
    log_lines(logging.INFO, list(dict.fromkeys([*case.low.skipped, *case.full.skipped])), "skipped: ")
    kernel = case.full.acquisition.kernel
    label = f"series {number} ({kernel})" if kernel else f"series {number}"
    if case.name:
        log.info("%s: %s", label, case.name)
    return replace(case, name=label)


def open_label_maps(
    stack: ExitStack, labels: Sequence[str | PathLike[str]], cases: int, data: str | PathLike[str] | None
) -> list[LabelMap]:
    """Open the label maps, one for each series, for as long as ``stack`` lives.

    Raises InvalidSetting for another number, and where it cannot be known which belongs to which.
    """
    if len(labels) > 1 and data is not None:
        raise InvalidSetting("--labels with --data: name the series by --low and --full, so that each has its labels")
    if labels and len(labels) != cases:
        raise InvalidSetting(
            f"{len(labels)} --labels for {cases} series: give one for each, in the order of the --full"
        )
    scratch = Path(stack.enter_context(TemporaryDirectory(prefix="lowdose-")))
    return [open_labels(path_of(path, "labels"), scratch) for path in labels]


def log_warnings(cases: Sequence[PairedSeries], more: Iterable[str]) -> list[str]:
    """Log every warning once, and return them."""
    lines = list(dict.fromkeys([*(f"{case.name}: {text}" for case in cases for text in case.warnings), *more]))
    log_lines(logging.WARNING, lines)
    return lines


def uids_of(cases: Sequence[PairedSeries]) -> list[dict[str, object]]:
    """Return the UIDs of every case, for summary.json only."""
    return [{"case": case.name, "low": case.low.uids, "full": case.full.uids} for case in cases]
