"""Write ``tests/fixtures/ct``: an abdomen of the digital patient, scanned at full and at a quarter of the dose.

Run ``python tests/support/make_ct_fixture.py``; it replaces the folder. Six axial slices of 256 x 256 pixels, 1.7 mm
wide and 3 mm thick, in portal venous phase, reconstructed with a smooth kernel (B30) and stored as lossless JPEG 2000.
Beyond a circle of 345 mm in diameter the pixels are air without noise, as beyond the field of a scanner. What a tissue
measures is known, nothing of a real person is in it, and every run makes the same pixels.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from lowdose.io.dicom.derivation import new_uid
from lowdose.io.dicom.new_series import write_new_series
from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.scanner import FITTED_SCANNERS
from lowdose.volume import Volume

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "ct"
SEED, SLICES, SIZE, PIXEL_MM, THICKNESS_MM, MAS, FIELD_MM = 26, 6, 256, 1.7, 3.0, 300.0, 345.0
OUTSIDE = -1024.0


def within_field(volume: Volume) -> Volume:
    """Return the volume with air outside the circular field."""
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL_MM
    return volume.with_hu(np.where(np.hypot(y, x) <= FIELD_MM / 2, volume.hu, np.float32(OUTSIDE)))


def main(out: Path = FIXTURE) -> None:
    """Write ``out``/full and ``out``/quarter."""
    person = digital_patient(
        SEED,
        region="abdomen",
        slices=SLICES,
        size=SIZE,
        pixel_mm=PIXEL_MM,
        spacing_mm=THICKNESS_MM,
        phase="portal_venous",
    )
    kernel, scanner = FITTED_SCANNERS["B30"]
    scans = acquire(person.volume, scanner, kernel, mas=MAS, dose=0.25, seed=SEED)
    made = replace(person.volume.acquisition, kernel=kernel.label, manufacturer="lowdose")
    shutil.rmtree(out, ignore_errors=True)
    study, frame = new_uid(), new_uid()
    for number, (name, volume) in enumerate((("full", scans.full), ("quarter", scans.low)), start=1):
        write_new_series(
            replace(within_field(volume), acquisition=made),
            out / name,
            description=f"digital patient, {name} dose",
            patient="PHANTOM",
            series_number=number,
            study_uid=study,
            frame_uid=frame,
        )
        for file in (out / name).iterdir():
            image = dcmread(file)
            image.compress(JPEG2000Lossless, generate_instance_uid=False)
            image.save_as(file)


if __name__ == "__main__":
    main()
