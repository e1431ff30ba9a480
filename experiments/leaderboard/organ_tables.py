"""Dice of each organ: the multi-organ evaluation of ALDEN, for what is judged by anatomy and what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.common.markdown import table
from experiments.furnace.score import patient_means
from experiments.leaderboard.compare import Row, difference, excludes_zero
from lowdose.metrics.statistics import Summary
from lowdose.organ_classes import ORGANS

LOW, TWIN = "low_dose", "mse_red_cnn"
METHODS = ("leda", "du_gan", "alden_gan", "alden_anatomy", "alden_contrast", "alden", "alden_leda")
FEWEST_PATIENTS = 5
"""Patients who show an organ, from which its mean is a line of the table."""


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the Dice coefficients by organ of low dose, the twin and all methods that have been scored so."""
    by_name = {row["method"]: row for row in rows if row["budget"] == "cpu" and _organs(row)}
    if LOW not in by_name or TWIN not in by_name:
        return
    methods = [name for name in METHODS if name in by_name]
    organs = [organ.name for organ in ORGANS if len(_patients(by_name[LOW], organ.name)) >= FEWEST_PATIENTS]
    yield (
        "**Organ by organ**: Dice of what the anatomy network finds in the result against what it finds at full dose, "
        f"in slices that show at least 200 pixels of the organ, of at least {FEWEST_PATIENTS} patients. ↑ and ↓: above "
        f"and below `{TWIN}`, slice by slice, with an interval that leaves out 0."
    )
    yield table(
        ["organ", "patients", f"`{LOW}`", f"`{TWIN}`", *(f"`{name}`" for name in methods)],
        [
            [
                (organ or "mean of all").replace("_", " "), str(len(_patients(by_name[LOW], organ))),
                *(_cell(by_name[name], by_name[TWIN], organ) for name in (LOW, TWIN, *methods)),
            ]
            for organ in [*organs, ""]
        ],
    )  # fmt: skip


def _key(organ: str) -> str:
    return f"dice_{organ}" if organ else "dice"


def _organs(row: Row) -> bool:
    return any(name.startswith("dice_") for one in row["slices"] for name in one)


def _patients(row: Row, organ: str) -> set[str]:
    return {one["patient"] for one in row["slices"] if _key(organ) in one}


def _cell(row: Row, twin: Row, organ: str) -> str:
    """Return the mean over patients, and whether it differs from the twin's."""
    key = _key(organ)
    mean = patient_means(row["slices"])[key]
    found: Summary | None = None
    if row is not twin:
        found = difference(row["slices"], twin["slices"], lambda one: one.get(key))
    mark = ("↑" if found.mean > 0 else "↓") if found is not None and excludes_zero(found) else ""
    return f"{mean:.3f}{mark}"
