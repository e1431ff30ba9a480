"""Write the leaderboard of all rows: table, controls, significant differences, contact sheet.

    python -m experiments.leaderboard.table [ROWS] [PAGE]

ROWS: folder of rows (``experiments/leaderboard/rows``). PAGE: ``docs/leaderboard.md``; the sheet is written beside it.
Between the markers of the page everything is replaced; what stands around them stays.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.common.markdown import summary_cell, table
from experiments.furnace.jobs import load_jobs
from experiments.leaderboard import leda_tables, organ_tables
from experiments.leaderboard.compare import Row, difference, excludes_zero, is_twin
from experiments.leaderboard.row import JOBS, ROWS, TWIN, UNTRAINED
from experiments.leaderboard.sheet import draw_sheet
from experiments.leaderboard.spectra import draw_spectra
from lowdose.metrics.statistics import Summary, summarise

PAGE = Path(__file__).parents[2] / "docs/leaderboard.md"
SHEET, SPECTRA = "leaderboard.png", "leaderboard-nps.png"
BEGIN, END = "<!-- rows -->", "<!-- end of rows -->"


class Figure(NamedTuple):
    """A column: its key in the rows, title, digits, and which way is better: 1 up, -1 down, 0 nearest to full dose."""

    key: str
    title: str
    digits: int
    better: int


FIGURES = (
    Figure("psnr", "PSNR (dB)", 2, 1), Figure("ssim", "SSIM", 4, 1), Figure("fsim", "FSIM", 4, 1),
    Figure("vif", "VIF", 3, 1), Figure("noise_sd", "SD", 2, 0), Figure("f_av", "f_av", 2, 0),
    Figure("nps_error", "NPS error", 2, -1), Figure("local_sd_error", "local SD error (HU)", 2, -1),
    Figure("bias", "bias (HU)", 2, -1), Figure("lesion_5mm", "5 mm", 2, 1),
    Figure("lesion_8mm", "8 mm", 2, 1), Figure("lesion_15mm", "15 mm", 2, 1), Figure("dice", "Dice", 3, 1),
)  # fmt: skip
SHORT = tuple(figure for figure in FIGURES if figure.key not in ("vif", "bias", "lesion_8mm", "lesion_15mm"))
"""Columns in which rows are compared."""


def _to_one(key: str) -> Callable[[Row], float | None]:
    return lambda one: abs(one[key] - 1) if key in one else None


GAPS: Mapping[str, Callable[[Row], float | None]] = {
    "SSIM": _to_one("ssim"),
    "FSIM": _to_one("fsim"),
    "f_av": _to_one("f_av"),
    "NPS": lambda one: one.get("nps_error"),
    "local SD": lambda one: one.get("local_sd_error"),
}
"""How far a slice is from full dose, by figure."""


def main() -> None:
    """Write page and sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="?", default=ROWS)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE)
    arguments = parser.parse_args()
    rows = load_rows(arguments.rows)
    before, _, rest = arguments.page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    arguments.page.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(sections(rows)) + f"\n\n{END}{after}")
    panels = {row["method"]: arguments.rows / f"{row['method']}.png" for row in rows if row["budget"] == "cpu"}
    draw_sheet({**panels, "full dose": arguments.rows / "full_dose.png"}, arguments.page.with_name(SHEET))
    draw_spectra([row for row in rows if row["budget"] == "cpu"], arguments.page.with_name(SPECTRA))


def load_rows(folder: Path) -> list[dict[str, Any]]:
    """Return all rows in the order of the jobs."""
    order = [*UNTRAINED, *(job.name for job in load_jobs(JOBS))]
    rows = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return sorted(rows, key=lambda row: (row["budget"], order.index(row.get("job", row["method"]))))


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the parts of the page."""
    counted = rows[0]["slices"]
    patients = {one["patient"] for one in counted}
    yield (
        f"{len(counted)} slices of {len(patients)} patients, each patient with the same weight, with 95 % intervals by "
        "bootstrap over patients."
    )
    yield table(
        ["method", *(figure.title for figure in FIGURES)], [figure_cells(row["method"], row["slices"]) for row in rows]
    )
    yield "Real pairs alone (three patients, so intervals are over slices):"
    yield table(
        ["method", *(figure.title for figure in FIGURES[:7])],
        [figure_cells(row["method"], [one for one in row["slices"] if one["real"]])[:8] for row in rows],
    )
    yield table(
        ["method", "network", "parameters", "steps", "training", "s a slice", "commit"], [cost_cells(r) for r in rows]
    )
    if any(row.get("steps") != row.get("budget_steps") for row in rows):
        yield "Rows of fewer steps than the budget show that the machinery works; they say little of the method."
    yield from comparisons(rows)
    yield from verdicts(rows)
    yield from organ_tables.sections(rows)
    yield from leda_tables.sections(rows)
    done = {row["method"] for row in rows}
    missing = [job for job in load_jobs(JOBS) if job.name not in done]
    if missing:
        yield "Not run yet: " + ", ".join(f"`{job.name}` ({job.purpose})" for job in missing) + "."


def figure_cells(name: str, slices: Sequence[Row]) -> list[str]:
    """Return a line of the table of figures."""
    return [f"`{name}`", *(summary_cell(summary(slices, figure.key), figure.digits) for figure in FIGURES)]


def cost_cells(row: Row) -> list[str]:
    """Return a line of the table of costs."""
    steps, whole = row.get("steps"), row.get("budget_steps")
    share = f" of {whole}" if whole and steps != whole else ""
    slices, all_slices = row.get("set", {}).get("bank_slices"), row.get("budget_slices")
    share += f", {slices} of {all_slices} slices" if slices != all_slices else ""
    speed = f"{row['seconds_a_slice']:.2f}" + (f" ({row['engine']})" if row["parameters"] else "")
    spent = row.get("cpu_s")
    training = (
        f"{spent / 60:.0f} min of a core" if spent else (f"{row['wall_s'] / 60:.0f} min" if "wall_s" in row else "–")
    )
    return [
        f"`{row['method']}`", f"`{row['network']}`" if "network" in row else "–",
        f"{row['parameters']:,}" if row["parameters"] else "–", f"{steps}{share}" if steps else "–", training,
        speed, row["commit"],
    ]  # fmt: skip


def comparisons(rows: Sequence[Row]) -> Iterator[str]:
    """Yield each row minus what it is to be better than, and minus its twin blended with the input to its noise."""
    lines = []
    for row in rows:
        lines += [
            [f"`{row['method']}` - `{other['method']}`", *difference_cells(row["slices"], other["slices"])]
            for other in rivals(row, rows)
        ]
        if control := row.get("control"):
            title = f"`{row['method']}` - {control['strength']:.2f} of `{twin_name(control)}`"
            lines.append([title, *difference_cells(row["slices"], control["slices"])])
    if lines:
        yield (
            "Differences slice by slice, bold where the interval leaves out 0. *x of M* is M mixed with the input so "
            "that as much noise is left as in the row, since noise that is left raises SSIM, FSIM and f_av by itself."
        )
        yield table(["difference", *(figure.title for figure in SHORT)], lines)


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield for each row with a blended twin in what it is nearer to full dose than that, and in what it is not."""
    lines = []
    for row in rows:
        if control := row.get("control"):
            found: dict[str, list[str]] = {"nearer": [], "as near": [], "farther": []}
            for title, gap in GAPS.items():
                found[nearness(row["slices"], control["slices"], gap)].append(title)
            parts = [f"{how} in {', '.join(titles)}" for how, titles in found.items() if titles]
            lines.append(f"- `{row['method']}`: {'; '.join(parts)}.")
    if lines:
        yield (
            "To full dose each row is, compared with its blended twin, nearer or farther where the interval of the "
            "difference leaves out 0. What is only as near, mixing the input in does as well:"
        )
        yield "\n".join(lines)


def nearness(slices: Sequence[Row], others: Sequence[Row], gap: Callable[[Row], float | None]) -> str:
    """Return 'nearer', 'as near' or 'farther', by the paired difference of the gaps to full dose."""
    found = difference(slices, others, gap)
    if found is None or not excludes_zero(found):
        return "as near"
    return "nearer" if found.mean < 0 else "farther"


def rivals(row: Row, rows: Sequence[Row]) -> list[Row]:
    """Return what a row is to be better than: the MSE twin; of a twin, the classical filters; of these, low dose."""
    if "network" not in row:
        return [r for r in rows if r["method"] == UNTRAINED[0] and r is not row]
    if row["method"].startswith(TWIN):
        return [r for r in rows if r["method"] in UNTRAINED[1:]]
    return [r for r in rows if is_twin(r, row)]


def twin_name(control: Row) -> str:
    """Return the method of a control, without the numbers of steps and slices in the name of its job."""
    return re.sub(r"(_\d+)+$", "", str(control["twin"]))


def difference_cells(slices: Sequence[Row], others: Sequence[Row]) -> list[str]:
    """Return the paired differences in all columns that are compared."""
    cells = []
    for figure in SHORT:
        found = difference(slices, others, partial(value, key=figure.key))
        cell = summary_cell(found, figure.digits, "+")
        cells.append(f"**{cell}**" if excludes_zero(found) else cell)
    return cells


def summary(slices: Sequence[Row], key: str) -> Summary | None:
    """Return the mean of a figure over patients with its interval."""
    found = [(number, one["patient"]) for one in slices if (number := value(one, key)) is not None]
    return summarise([number for number, _ in found], [patient for _, patient in found], seed=0) if found else None


def value(one: Row, key: str) -> float | None:
    """Return a figure of a slice; 'bias' is the mean over tissues of the absolute change of their mean."""
    if key == "bias":
        found = [abs(number) for name, number in one.items() if name.startswith("bias_")]
        return float(np.mean(found)) if found else None
    return one.get(key)


if __name__ == "__main__":
    main()
