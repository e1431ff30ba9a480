"""Does simulated noise lie where true noise lies? Local SD of quarter minus full dose, simulated and real.

    python -m experiments.physics.noise_placement PAIRS... --out OUT

PAIRS: folders with pairs, DICOM series or arrays (see ``real_pairs``). Writes OUT/noise_placement.csv, a row for each
slice: correlation over the body of the true local SD (31 x 31 pixels) with that of simulated noise, without
(``axial``) and with (``spiral``) the effect of the spiral scan, and of two simulated realisations with each other
(``ceiling``).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from experiments.common.csv_file import write_rows
from experiments.physics.real_pairs import RealPair, real_pairs

WINDOW = 31


def local_sd(noise: Any) -> Any:
    """Return the SD (y, x) of the noise in windows of 31 x 31 pixels."""
    values = np.asarray(noise, np.float64)
    return np.sqrt(np.maximum(uniform_filter(values**2, WINDOW) - uniform_filter(values, WINDOW) ** 2, 0))


def placement(pair: RealPair) -> dict[str, Any]:
    """Return the correlations of one slice, and the median over the body of simulated over true SD."""
    body = pair.body
    true, axial = local_sd(pair.true)[body], local_sd(pair.simulated(1, pitch=0.0))[body]
    first, second = (local_sd(pair.simulated(seed))[body] for seed in (1, 2))
    return {
        "series": pair.series,
        "z": f"{pair.z:g}",
        "axial": round(float(np.corrcoef(true, axial)[0, 1]), 3),
        "spiral": round(float(np.corrcoef(true, first)[0, 1]), 3),
        "ceiling": round(float(np.corrcoef(first, second)[0, 1]), 3),
        "sd ratio": round(float(np.median(first / true)), 3),
    }


def main() -> None:
    """Measure all pairs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for pair in real_pairs(arguments.pairs):
        rows.append(placement(pair))
        print(*rows[-1].values(), sep="\t", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_rows(arguments.out / "noise_placement.csv", rows)
    for name in ("axial", "spiral", "ceiling"):
        values = [row[name] for row in rows]
        print(f"{name}: median {np.median(values):.3f}, worst {min(values):.3f}")
    print(f"worse with spiral: {sum(row['spiral'] < row['axial'] for row in rows)} of {len(rows)}")


if __name__ == "__main__":
    main()
