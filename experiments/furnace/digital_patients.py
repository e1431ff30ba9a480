"""Digital patients for training: a slice each at full dose, with random body, scanner, kernel, dose and pixel size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import generate_uid

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


def write_digital_patient(number: int, folder: Path) -> None:
    """Write one slice of a digital patient as DICOM.

    Full dose is 250 to 1,600 mAs mm: 3 mm at 80 to 500 mAs.
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
        fix_identity(file, number)


def fix_identity(file: Path, number: int) -> None:
    """Replace random UIDs and the time of day, so that a training set is the same whenever and wherever it is built."""
    dataset = pydicom.dcmread(file)
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        dataset[name].value = generate_uid(entropy_srcs=["digital patient", name, str(number)])
    for element in dataset:
        if element.VR in ("DA", "TM", "DT"):
            element.value = {"DA": "20000101", "TM": f"{number:06d}", "DT": f"20000101{number:06d}"}[element.VR]
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(file)
