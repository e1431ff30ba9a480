"""Noise at low frequency, true and simulated, and the fit of the count floor that makes up for the difference.

    python -m experiments.physics.low_frequency PAIRS... --out OUT [--phantoms PHANTOMS]
    python -m experiments.physics.low_frequency PAIRS... --fit 0 8 10 11 12 13 14 16 --only L096 L333

PAIRS: folders with pairs (see ``real_pairs``). Writes OUT/low_frequency.csv, a row for each slice: noise power at
fractions of the Nyquist frequency of the pixels, relative to its mean over all frequencies, of quarter minus full dose:
true, simulated without and with the count floor. "band" is the SD (HU) of that noise under a Gaussian of 12 pixels, "r
band" its correlation with the truth. PHANTOMS: a folder with ct-recon-simulated and ge-ct750, whose own noise is
compared with that of halving the dose.

--fit: for each count floor, the rms over slices of what is left of the smoothed truth, relative to no floor.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from experiments.common.csv_file import write_rows
from experiments.physics.real_pairs import RealPair, real_pairs
from experiments.physics.regions import regions
from lowdose.errors import GeometryMismatch
from lowdose.image import Acquisition
from lowdose.io.open_series import open_source
from lowdose.metrics import difference_nps
from lowdose.physics.scanner import COUNT_FLOOR
from lowdose.simulation.calibration import ScanDescription, calibrate

FRACTIONS = (0.02, 0.05, 0.1, 0.2)
SQUARE, SMOOTH = 128, 12.0


def relative_power(noise: Any, region: Any, pixel_mm: float) -> list[float]:
    """Return the power of one or more noises at ``FRACTIONS`` of the Nyquist frequency over its mean.

    NaN where no square fits.
    """
    try:
        powers = [difference_nps(one, region, pixel_mm, size=SQUARE, share=0.9) for one in _each(noise)]
        power = np.mean(powers, axis=0)
    except GeometryMismatch:
        return [float("nan")] * len(FRACTIONS)
    line = 2 * np.fft.fftfreq(SQUARE)
    frequency = np.hypot(*np.meshgrid(line, line))
    rings = [(np.abs(frequency - f) < max(0.012, f / 10)) & (frequency > 0) for f in FRACTIONS]
    return [float(power[ring].mean() / power.mean()) for ring in rings]


def _each(noise: Any) -> Any:
    return noise if noise.ndim == 3 else noise[None]


def smoothed(noise: Any, body: Any) -> Any:
    """Return the noise of the body under a Gaussian that stays within it, (n,) HU."""
    weight = np.maximum(gaussian_filter(body.astype(float), SMOOTH), 1e-6)
    return (gaussian_filter(np.where(body, noise, 0.0), SMOOTH) / weight)[body]


def row_of(name: str, z: float, region: Any, pixel_mm: float, noises: dict[str, Any]) -> dict[str, Any]:
    """Return one row: power of each noise, and how its smoothed part agrees with that of the true one."""
    row: dict[str, Any] = {"series": name, "z": f"{z:g}"}
    bands = {kind: smoothed(_each(noise)[0], region) for kind, noise in noises.items()}
    for kind, noise in noises.items():
        powers = relative_power(noise, region, pixel_mm)
        row |= {f"{f:g} {kind}": f"{power:.3f}" for f, power in zip(FRACTIONS, powers, strict=True)}
        row[f"band {kind}"] = f"{bands[kind].std():.2f}"
        if kind != "true":
            row[f"r band {kind}"] = f"{np.corrcoef(bands['true'], bands[kind])[0, 1]:.2f}"
    return row


def pair_row(pair: RealPair) -> dict[str, Any]:
    """Return the row of one pair."""
    noises = {
        "true": pair.true,
        "before": pair.simulated(1, count_floor=0.0),
        "after": pair.simulated(1, count_floor=COUNT_FLOOR),
    }
    return row_of(pair.series, pair.z, pair.body, pair.pixel_mm[0], noises)


def phantom_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for the simulated water of 50 realisations, and one for the real water of two GE slices."""
    raw = sorted((folder / "ct-recon-simulated/uniform_water_phan/fbp_sharp").glob("*.raw"))
    scans = np.stack([np.fromfile(path, "<i2").reshape(256, 256) for path in raw]).astype(np.float32)
    across = np.count_nonzero(scans.mean(axis=0)[128] > -500)
    own = (scans - scans.mean(axis=0)) / np.sqrt(1 - 1 / len(scans))
    yield _phantom_row("ct-recon water", scans[0], own, 200.0 / across)
    water = []
    for name in ("imgA.dcm", "imgB.dcm"):
        with open_source(folder / "ge-ct750" / name) as series:
            water.append(series.read(0).in_air)
            pixel = series.planes[0].pixel_mm
    assert pixel
    yield _phantom_row("GE CT750 water", water[0], (water[0] - water[1]) / np.sqrt(2), pixel[0])


def _phantom_row(name: str, full: Any, own: Any, pixel_mm: float) -> dict[str, Any]:
    full = np.maximum(full, -1000)
    scan = ScanDescription(name, Acquisition(), 1.0, (None,), (pixel_mm, pixel_mm), lambda _: full)
    made = {}
    for kind, floor in (("before", 0.0), ("after", COUNT_FLOOR)):
        found = calibrate(scan, count_floor=floor)
        made[kind] = found.simulator.inserted(
            full, scan.pixel_mm, exposure=found.exposures[0], dose=0.5, seed=1, key=name
        )
    y, x = np.mgrid[: full.shape[0], : full.shape[1]]
    radius = 0.4 * np.sqrt(4 / np.pi * np.count_nonzero(regions(full, pixel_mm)[1]))
    inside = np.hypot(y - full.shape[0] / 2, x - full.shape[1] / 2) < radius
    return row_of(name, float("nan"), inside, pixel_mm, {"true": own, **made})


def fit(pairs: list[RealPair], floors: list[float]) -> None:
    """Print for each count floor what is left of the smoothed truth, relative to no floor."""
    start = [smoothed(pair.true - pair.simulated(1), pair.body).std() for pair in pairs]
    for floor in floors:
        rest = [smoothed(pair.true - pair.simulated(1, count_floor=floor), pair.body).std() for pair in pairs]
        print(f"floor {floor:g}: {np.sqrt(np.mean(np.square(rest) / np.square(start))):.3f}", flush=True)


def summary(rows: list[dict[str, Any]]) -> None:
    """Print the median over the slices of each series."""
    columns = list(rows[0])[2:]
    print("series", *columns, sep="\t")
    for name in dict.fromkeys(row["series"] for row in rows):
        own = [[float(row[column]) for column in columns] for row in rows if row["series"] == name]
        print(name, *(f"{value:.2f}" for value in np.nanmedian(own, axis=0)), sep="\t")


def main() -> None:
    """Measure, or fit the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--phantoms", type=Path)
    parser.add_argument("--fit", type=float, nargs="+")
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of the names of the series to use")
    arguments = parser.parse_args()
    pairs = (pair for pair in real_pairs(arguments.pairs) if pair.series.startswith(tuple(arguments.only)))
    if arguments.fit:
        fit(list(pairs), arguments.fit)
        return
    rows = list(phantom_rows(arguments.phantoms)) if arguments.phantoms else []
    rows += [pair_row(pair) for pair in pairs]
    summary(rows)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_rows(arguments.out / "low_frequency.csv", rows)


if __name__ == "__main__":
    main()
