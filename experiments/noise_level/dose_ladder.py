"""Estimate the dose of simulated scans at 5 to 100 % of their dose, beside the truth.

    python -m experiments.noise_level.dose_ladder OUT.csv OUT.png CT

CT: folder with ``blocks``, ``more`` and ``normal-dose``, of which the patients of
``experiments/furnace/held_out_patients.json`` are taken: up to three slices of one series of each, simulated exactly.
The truth is relative to each patient's own scan, which itself has more or less dose than usual.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from experiments.common.csv_file import write_rows
from experiments.furnace.choose_slices import held_out
from lowdose.data.normal_dose import NormalDoseSlice, normal_dose_slices
from lowdose.data.pack.index import short_hash
from lowdose.data.series import iterate_series
from lowdose.image import Slice
from lowdose.models.noise_retention import estimated_dose
from lowdose.models.training_domain import measure_slices
from lowdose.simulation.calibration import calibrate_slices

DOSES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
SLICES = 3


def main() -> None:
    """Measure, write the rows and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("ct", type=Path)
    arguments = parser.parse_args()
    rows = [row for name, items in patients(arguments.ct) for row in ladder(name, items)]
    write_rows(arguments.out, rows)
    draw(arguments.figure, rows)
    for dose in DOSES:
        factors = sorted(max(e, 1 / e) for r in rows if float(r["dose"]) == dose for e in [float(r["estimate"]) / dose])
        within = np.mean([f <= float(rows[0]["factor"]) for f in factors])
        print(
            f"{100 * dose:g}%: median factor {np.median(factors):.2f}, worst {factors[-1]:.2f}, in range {within:.0%}"
        )


def patients(ct: Path) -> Iterator[tuple[str, list[NormalDoseSlice]]]:
    """Yield the name and some slices of one series of each patient held out."""
    wanted = {series: name for name, known in held_out("validation").items() for series in known}
    done: set[str] = set()
    with ExitStack() as stack:
        for part in ("blocks", "more", "normal-dose"):
            folders = {series.place: short_hash(series.uid) for series in iterate_series(ct / part, [], stack)}
            for place, series in folders.items():
                name = wanted.get(series)
                if name is None or name in done:
                    continue
                items, _ = normal_dose_slices(stack, [place])
                same = [item for item in items if item.series == items[0].series]
                chosen = np.linspace(0, len(same) - 1, min(SLICES, len(same))).round().astype(int)
                done.add(name)
                yield name, [same[index] for index in chosen]


def ladder(name: str, items: list[NormalDoseSlice]) -> Iterator[dict[str, str]]:
    """Yield a row for each dose."""
    scans = calibrate_slices(items)
    for dose in DOSES:
        scanned = []
        for item, scan in zip(items, scans, strict=True):
            hu, sides = item.read(), item.pixel_mm
            assert sides is not None
            if dose < 1:
                hu = scan.simulator.simulate(hu, sides, exposure=scan.exposure, dose=dose, seed=1, key=item.key)
            scanned.append(Slice(hu, np.ones(hu.shape, bool), None, sides))
        estimate = estimated_dose(measure_slices(scanned, items[0].thickness_mm))
        assert estimate is not None
        row = {"patient": name, "dose": f"{dose:g}", "estimate": f"{estimate.fraction:.3f}"}
        print(row, flush=True)
        yield {**row, "factor": f"{estimate.factor:.3f}"}


def draw(path: Path, rows: list[dict[str, str]]) -> None:
    """Draw the estimates over the truth, a line for each patient."""
    figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
    for name in dict.fromkeys(row["patient"] for row in rows):
        own = [row for row in rows if row["patient"] == name]
        axes.plot(
            [float(row["dose"]) for row in own], [float(row["estimate"]) for row in own], "o-", ms=3, lw=0.8, label=name
        )
    factor, ends = float(rows[0]["factor"]), np.array([DOSES[0], DOSES[-1]])
    axes.plot(ends, ends, color="0.3", lw=1)
    axes.fill_between(ends, ends / factor, ends * factor, color="0.9", zorder=0)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="simulated dose (of the patient's own)",
        ylabel="estimated (of the usual dose)",
    )
    axes.legend(frameon=False, fontsize=7, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
