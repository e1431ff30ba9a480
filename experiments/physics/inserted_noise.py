"""Compare inserted noise with true noise: quarter dose simulated from real full-dose slices, and the real quarter dose.

    python -m experiments.physics.inserted_noise PAIRS OUT [--measured]

PAIRS: folder with pairs (full, quarter). Writes OUT/inserted_noise.csv (a row for each slice), inserted_noise.md and
inserted_noise.png. --measured: calibrate as for a scanner without a fit, from the noise of the full-dose series itself.
"""

import argparse
import csv
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import binary_erosion

from experiments.common.pairs import open_pair_folders
from experiments.physics.regions import regions
from lowdose.metrics import difference_nps, f_av, f_av_2d, noise_map, noise_map_correlation, radial_average
from lowdose.physics.scanner import COUNT_FLOOR
from lowdose.simulation.calibration import calibrate, describe_scan

FITTED_ON = {"L096-3mm-D45f": 1, "L143-3mm-B30f": 2}
"""Series that ``fit_scanner`` used, and the step between the slices that it used."""


def compare(low: Any, full: Any, made: Any, pixel_mm: float) -> dict[str, Any]:
    """Return the measurements of one slice.

    ``low`` and ``full`` are the true pair, ``made`` is the inserted noise, all (y, x) HU.
    """
    soft, body = regions(full, pixel_mm)
    true = low - full
    maps = {name: noise_map(image, body) for name, image in (("true", true), ("made", made))}
    row: dict[str, Any] = {"correlation": noise_map_correlation(maps["true"], maps["made"], body)}
    for name, image in (("true", true), ("made", made)):
        power = difference_nps(image, binary_erosion(soft) | soft, pixel_mm)
        row |= {
            f"sd {name}": float(np.median(maps[name][soft & body])),
            f"f_av {name}": f_av(radial_average(power, pixel_mm)),
            f"f_av 2-D {name}": f_av_2d(power, pixel_mm),
        }
    row["sd ratio"] = row["sd made"] / row["sd true"]
    row["f_av ratio"] = row["f_av made"] / row["f_av true"]
    row["f_av 2-D ratio"] = row["f_av 2-D made"] / row["f_av 2-D true"]
    return row | {"maps": maps, "noise": {"true": true, "made": made}}


def measure_pairs(root: Path, measured: bool, seed: int) -> list[dict[str, Any]]:
    """Return a row for each slice of every pair."""
    found = []
    with ExitStack() as stack:
        for series in open_pair_folders(stack, [root]):
            scan = describe_scan(series.full)
            if measured:
                scan = replace(scan, acquisition=replace(scan.acquisition, kernel=None))
            calibration = calibrate(scan, count_floor=COUNT_FLOOR)
            print(series.name, calibration.how, flush=True)
            for number, (i, j) in enumerate(series.pairs):
                low, full = series.low.read(i), series.full.read(j)
                exposure = calibration.exposures[j]
                noise = calibration.simulator.inserted(
                    full.hu, scan.pixel_mm, exposure=exposure, dose=0.25, seed=seed, key=str(j)
                )
                fitted = not measured and number % FITTED_ON.get(series.name, 10**9) == 0 and series.name in FITTED_ON
                row = {"series": series.name + (" (fitted)" if fitted else ""), "z": series.full.planes[j].position}
                found.append(row | compare(low.hu, full.hu, noise, scan.pixel_mm[0]) | {"full": full.hu})
    return found


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Draw the middle slice of each series: full dose, true and inserted noise, and their local SD."""
    names = list(dict.fromkeys(row["series"] for row in found))
    figure, axes = plt.subplots(len(names), 5, figsize=(15, 3.2 * len(names)), squeeze=False)
    for line, name in zip(axes, names, strict=True):
        own = [row for row in found if row["series"] == name]
        row = own[len(own) // 2]
        top = float(np.nanquantile(row["maps"]["true"], 0.995))
        span = 3 * row["sd true"]
        panels = [("full dose", row["full"], "gray", -160, 240)]
        panels += [(f"noise, {n}", row["noise"][n], "gray", -span, span) for n in ("true", "made")]
        panels += [(f"local SD, {n}, 0 to {top:.0f} HU", row["maps"][n], "viridis", 0, top) for n in ("true", "made")]
        for axis, (title, image, colours, low, high) in zip(line, panels, strict=True):
            axis.imshow(image, cmap=colours, vmin=low, vmax=high)
            axis.set_title(title, fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(f"{name}\nz = {row['z']:.0f} mm, r = {row['correlation']:.2f}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=70)


def table(found: list[dict[str, Any]]) -> str:
    """Return Markdown: median [lowest, highest] over the slices of each series."""
    columns = ("sd true", "sd made", "sd ratio", "f_av true", "f_av ratio", "f_av 2-D ratio", "correlation")
    lines = [f"| series | n | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name in dict.fromkeys(row["series"] for row in found):
        own = [row for row in found if row["series"] == name]
        cells = []
        for column in columns:
            values = [row[column] for row in own]
            digits = 1 if column in ("sd true", "sd made") else 3
            cells.append(f"{np.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]")
        lines.append(f"| {name} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all pairs, and write table, rows and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--measured", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = measure_pairs(arguments.pairs, arguments.measured, arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = [key for key in found[0] if key not in ("maps", "noise", "full")]
    with (arguments.out / "inserted_noise.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    (arguments.out / "inserted_noise.md").write_text(table(found))
    draw(found, arguments.out / "inserted_noise.png")
    print(table(found))


if __name__ == "__main__":
    main()
