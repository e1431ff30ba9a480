"""Compare noise drawn from a noise bank with noise of the exact dose simulator, for slices and doses.

    python -m experiments.physics.noise_bank DATA... --out OUT [--slices 8] [--repeats 4]

DATA: folders with series of normal dose, of which one slice each is taken. Writes OUT/noise_bank.csv (a row for each
slice and dose), noise_bank.md and noise_bank.png. Local SDs are those of one realisation ("one") and of all ``repeats``
together ("all"). Beside "fast" (the bank) stands "exact": the exact simulator against itself with other seeds, the best
that any bank could reach.
"""

import argparse
import csv
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from experiments.physics.regions import regions
from lowdose.data.noise_bank.bank import MAX_SHIFT, NoiseBank
from lowdose.data.noise_bank.build import CalibratedSlice, build_noise_bank
from lowdose.data.noise_bank.plan import Plan, prepare_folder
from lowdose.data.normal_dose import NormalDoseSlice, normal_dose_slices
from lowdose.image import mean_side
from lowdose.metrics import (
    Spectrum,
    difference_nps,
    f_av,
    f_av_2d,
    noise_map,
    noise_map_correlation,
    radial_average,
)
from lowdose.physics.dose_simulator import DoseSimulator, noise_generator
from lowdose.physics.kernels import B30, D45
from lowdose.physics.scanner import Scanner

DOSES = (0.05, 0.1, 0.25, 0.5, 0.8)
DRAWN_DOSES = (0.05, 0.25, 0.8)


class NoiseMeasurement(NamedTuple):
    """Measurements over several realisations of one slice and dose.

    Attributes
    ----------
    spectrum : Spectrum
        Radial noise power spectrum.
    f_av_2d : float
        Mean frequency of the 2-D spectrum, 1/mm.
    maps : tuple of array
        Local SD of the first realisation, and of all together, HU.
    bias : array
        Smoothed mean of the noise, HU.
    """

    spectrum: Spectrum
    f_av_2d: float
    maps: tuple[Any, Any]
    bias: Any


def series_name(item: NormalDoseSlice) -> str:
    """Return the last two folders of the series of a slice."""
    return "/".join(Path(item.series.rpartition(" (")[0]).parts[-2:])


def header_calibration(item: NormalDoseSlice) -> CalibratedSlice:
    """Return the exposure of the header, with the sharp or the soft kernel."""
    kernel = D45 if (item.kernel or "").startswith("D45") else B30
    return CalibratedSlice(DoseSimulator(Scanner(), kernel), (item.mas or 200.0) * (item.thickness_mm or 3.0))


def measure_noise(noises: list[Any], soft: Any, body: Any, pixel_mm: float) -> NoiseMeasurement:
    """Measure several realisations of the noise of one slice."""
    powers = np.mean([difference_nps(noise, soft, pixel_mm, share=0.9) for noise in noises], axis=0)
    maps = [noise_map(noise, body) for noise in noises]
    together = np.sqrt(np.mean(np.square(maps), axis=0))
    bias = gaussian_filter(np.mean(noises, axis=0), 8)
    return NoiseMeasurement(radial_average(powers, pixel_mm), f_av_2d(powers, pixel_mm), (maps[0], together), bias)


def measure_slice(item: NormalDoseSlice, bank: NoiseBank, repeats: int) -> list[dict[str, Any]]:
    """Return a row for each dose."""
    hu, scan, pixel = item.read(), header_calibration(item), mean_side(item.pixel_mm)
    assert pixel is not None
    assert item.pixel_mm is not None
    inner = (slice(MAX_SHIFT, -MAX_SHIFT), slice(MAX_SHIFT, -MAX_SHIFT))
    window = tuple(slice(MAX_SHIFT, side - MAX_SHIFT) for side in hu.shape)
    soft, body = (mask[inner] for mask in regions(hu, pixel))
    expected, slice_bank = scan.simulator.expected(hu, item.pixel_mm, scan.exposure), bank[item.key]
    found = []
    for dose in DOSES:
        exact, again = (
            [
                scan.simulator.noise(expected, dose, noise_generator(99, f"{item.key} {dose} {name} {number}"))[inner]
                for number in range(repeats)
            ]
            for name in ("exact", "again")
        )
        rng = np.random.default_rng(1)
        fast = [slice_bank.noise((window[0], window[1]), dose, 1.0, rng) for _ in range(repeats)]
        measurements = {
            n: measure_noise(v, soft, body, pixel) for n, v in (("exact", exact), ("again", again), ("fast", fast))
        }
        found.append({"series": series_name(item), "dose": dose, **compare(measurements, soft & body, body)})
        found[-1] |= {"measurements": measurements, "hu": hu[inner]}
    return found


def compare(measurements: dict[str, NoiseMeasurement], soft: Any, body: Any) -> dict[str, float]:
    """Return ratios, correlations and bias against the exact simulator."""
    exact, again, fast = measurements["exact"], measurements["again"], measurements["fast"]
    level = {name: float(np.sqrt(np.mean(one.maps[1][soft] ** 2))) for name, one in measurements.items()}
    result = {"SD exact, HU": level["exact"]}
    for name, other in (("fast", fast), ("exact", again)):
        result |= {
            f"SD ratio {name}": level["fast" if name == "fast" else "again"] / level["exact"],
            f"f_av ratio {name}": f_av(other.spectrum) / f_av(exact.spectrum),
            f"f_av 2-D ratio {name}": other.f_av_2d / exact.f_av_2d,
            f"r one {name}": noise_map_correlation(exact.maps[0], other.maps[0], body),
            f"r all {name}": noise_map_correlation(exact.maps[1], other.maps[1], body),
            f"bias off {name}, HU": float(np.sqrt(np.mean((other.bias - exact.bias)[body] ** 2))),
        }
    return result | {"bias exact, HU": float(exact.bias[body].mean()), "bias fast, HU": float(fast.bias[body].mean())}


def table(found: list[dict[str, Any]], columns: list[str]) -> str:
    """Return Markdown: median [lowest, highest] over the slices at each dose."""
    lines = [f"| | {' | '.join(f'dose {dose:g}' for dose in DOSES)} |", "|---" * (len(DOSES) + 1) + "|"]
    for column in columns:
        cells = []
        for dose in DOSES:
            values = [one[column] for one in found if one["dose"] == dose]
            digits = 2 if column.endswith("HU") else 3
            cells.append(f"{np.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]")
        lines.append(f"| {column} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Draw NPS, local SD and bias, exact and fast, of two slices: that of strongest noise and one of median noise."""
    lowest = sorted((one for one in found if one["dose"] == DOSES[0]), key=lambda one: one["SD exact, HU"])
    figure, axes = plt.subplots(4, 5, figsize=(17, 14))
    for number, chosen in enumerate((lowest[len(lowest) // 2], lowest[-1])):
        own = [one for one in found if one["hu"] is chosen["hu"] or np.array_equal(one["hu"], chosen["hu"])]
        top, bottom = axes[2 * number], axes[2 * number + 1]
        top[0].imshow(chosen["hu"], cmap="gray", vmin=-160, vmax=240)
        top[0].set_title(chosen["series"], fontsize=9)
        for one in own:
            if one["dose"] in DRAWN_DOSES:
                curve, made = one["measurements"]["exact"].spectrum, one["measurements"]["fast"].spectrum
                (line,) = bottom[0].semilogy(curve.frequency, curve.power, label=f"exact, dose {one['dose']:g}")
                bottom[0].semilogy(made.frequency, made.power, "--", color=line.get_color(), lw=2, label="fast")
        bottom[0].set_ylim(bottom=bottom[0].get_ylim()[0] / 30)
        bottom[0].legend(fontsize=6, loc="lower center", ncols=3, handlelength=1.5, columnspacing=0.8)
        bottom[0].set_xlabel("1/mm")
        bottom[0].set_title("NPS, HU^2 mm^2", fontsize=9)
        for line, dose in ((top, 0.05), (bottom, 0.25)):
            one = next(one for one in own if one["dose"] == dose)
            exact, fast = one["measurements"]["exact"], one["measurements"]["fast"]
            high = float(np.nanquantile(exact.maps[1], 0.995))
            wide = max(1.0, float(np.quantile(np.abs(exact.bias), 0.999)))
            panels = [(f"local SD, {n}, dose {dose:g}, 0 to {high:.0f} HU", i.maps[1], "viridis", 0, high)
                      for n, i in (("exact", exact), ("fast", fast))]  # fmt: skip
            panels += [(f"bias, {n}, +-{wide:.1f} HU", i.bias, "RdBu_r", -wide, wide)
                       for n, i in (("exact", exact), ("fast", fast))]  # fmt: skip
            for axis, (title, image, colours, low, highest) in zip(line[1:], panels, strict=True):
                axis.imshow(image, cmap=colours, vmin=low, vmax=highest)
                axis.set_title(title, fontsize=9)
        for axis in (*top, *bottom[1:]):
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=60)


def choose_slices(roots: list[Path], count: int) -> list[NormalDoseSlice]:
    """Return the middle slice of each of ``count`` series, evenly spread over those found."""
    with ExitStack() as stack:
        series: dict[str, list[NormalDoseSlice]] = {}
        for item in normal_dose_slices(stack, roots)[0]:
            series.setdefault(item.series, []).append(item)
        middle = [items[len(items) // 2] for items in series.values() if "quarter" not in items[0].series]
        return [middle[int(i)] for i in np.linspace(0, len(middle) - 1, min(count, len(middle))).round()]


def main() -> None:
    """Build a bank, measure all slices, and write table, rows and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    items = choose_slices(arguments.data, arguments.slices)
    plan = Plan({item.key: item.shape for item in items}, realisations=2, calibration="header")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bank"
        prepare_folder(place, plan)
        build_noise_bank(place, items, lambda slices: [header_calibration(item) for item in slices])
        bank = NoiseBank(place)
        for reason in bank.left_out.values():
            print(f"left out: {reason}")
        found = [
            one for item in items if item.key in bank.built for one in measure_slice(item, bank, arguments.repeats)
        ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = [key for key in found[0] if key not in ("measurements", "hu")]
    with (arguments.out / "noise_bank.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    text = table(found, columns[2:])
    (arguments.out / "noise_bank.md").write_text(text)
    draw(found, arguments.out / "noise_bank.png")
    print(f"{len(found) // len(DOSES)} slices\n{text}")


if __name__ == "__main__":
    main()
