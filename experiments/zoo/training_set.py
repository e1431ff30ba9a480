"""Build the training set of the shipped denoisers: real normal-dose slices and digital patients, as compressed DICOM.

    python -m experiments.zoo.training_set NORMAL OUT [--digital 48] [--most 48]

NORMAL: folder of normal-dose CT, with a folder 'ny-sbu-chest' of which the last two patients are held out. Writes
OUT/train and OUT/check (JPEG 2000, lossless), the same on every machine, for 'lowdose train ... --pairing simulated
--data OUT/train --data OUT/check --set validation_patients=2'. Of a long series groups of three neighbouring slices are
taken, evenly spread, so that a model of three slices can learn from them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.misc import is_dicom
from pydicom.uid import JPEG2000Lossless

from lowdose.io.dicom.new_series import write_new_series
from lowdose.phantom.contrast_phases import PHASES
from lowdose.phantom.patient import HIGHEST, LOWEST, digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.geometry import FanBeam
from lowdose.physics.kernels import Kernel
from lowdose.physics.scanner import Scanner

FIRST_SEED = 500_000
"""First seed of these digital patients; those of the anatomy network and of tests are smaller."""
SCANNERS = (
    FanBeam(),
    FanBeam(views=984, detectors=888, pitch_mm=1.0239, source_mm=541.0, detector_mm=949.1),
    FanBeam(views=900, detectors=896, pitch_mm=1.2, source_mm=600.0, detector_mm=1072.0),
)
"""Siemens, GE LightSpeed and Toshiba Aquilion scanners, by their published geometry."""
HELD_OUT_PATIENTS, NEIGHBOURS = 2, 3


def main() -> None:
    """Write all slices and print their number and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("normal", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--digital", type=int, default=48, help="digital patients, one slice each")
    parser.add_argument("--most", type=int, default=48, help="slices of one real series")
    arguments = parser.parse_args()
    for path in sorted(choose_slices(arguments.normal, arguments.most)):
        part = "check" if path in held_out_files(arguments.normal) else "train"
        compress(path, (arguments.out / part / path.relative_to(arguments.normal)).with_name(f"{path.name}.dcm"))
    for number in range(arguments.digital):
        write_digital_patient(number, arguments.out / "train" / f"digital-{number:03d}")
    size = sum(file.stat().st_size for file in arguments.out.rglob("*.dcm"))
    print(f"{sum(1 for _ in arguments.out.rglob('*.dcm'))} slices, {size / 2**20:.1f} MiB")


def held_out_files(normal: Path) -> set[Path]:
    """Return the files of the held-out patients."""
    patients = sorted(folder for folder in (normal / "ny-sbu-chest").iterdir() if folder.is_dir())
    return {file for folder in patients[-HELD_OUT_PATIENTS:] for file in folder.rglob("*")}


def choose_slices(normal: Path, most: int) -> list[Path]:
    """Return at most ``most`` slices of each series, in groups of three neighbours."""
    series: dict[str, list[tuple[float, Path]]] = defaultdict(list)
    for path in (path for path in normal.rglob("*") if path.is_file() and is_dicom(path)):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        series[header.SeriesInstanceUID].append((float(header.ImagePositionPatient[2]), path))
    kept: list[Path] = []
    for members in series.values():
        paths = [path for _, path in sorted(members)]
        if len(paths) > most:
            starts = np.linspace(0, len(paths) - NEIGHBOURS, most // NEIGHBOURS).round().astype(int)
            paths = [paths[start + step] for start in starts for step in range(NEIGHBOURS)]
        kept += paths
    return kept


def compress(source: Path, target: Path) -> None:
    """Write a DICOM file with lossless JPEG 2000 compression."""
    dataset = pydicom.dcmread(source)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(target)


def write_digital_patient(number: int, folder: Path) -> None:
    """Write one slice of a digital patient at full dose.

    Body, height, contrast phase, scanner, kernel, dose and pixel size are random. Full dose is 250 to 1,600 mAs mm: 3
    mm at 80 to 500 mAs.
    """
    rng = np.random.default_rng((FIRST_SEED, number))
    height, thickness = float(rng.uniform(LOWEST + 40, HIGHEST - 40)), float(rng.uniform(1.0, 5.0))
    body = digital_patient(
        FIRST_SEED + number, region=(height, height), slices=1, spacing_mm=thickness,
        pixel_mm=float(rng.uniform(0.62, 0.97)), phase=str(rng.choice(PHASES)), variety=float(rng.uniform(1.0, 2.5)),
    ).volume  # fmt: skip
    kernel = Kernel("hann", float(np.exp(rng.uniform(np.log(0.6), np.log(1.9)))))
    scanner = Scanner(fan=SCANNERS[number % len(SCANNERS)], flux=float(rng.uniform(900, 1400)))
    exposure = float(np.exp(rng.uniform(np.log(250), np.log(1600))))
    scan = acquire(body, scanner, kernel, mas=exposure / thickness, dose=0.5, seed=FIRST_SEED + number).full
    made = replace(body.acquisition, kernel=kernel.label, thickness_mm=thickness)
    write_new_series(
        replace(scan, acquisition=made), folder, description="digital patient", patient=f"DIGITAL {number}"
    )
    for file in folder.glob("*.dcm"):
        compress(file, file)


if __name__ == "__main__":
    main()
