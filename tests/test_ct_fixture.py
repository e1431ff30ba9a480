"""The scan in ``tests/fixtures/ct``: what its tissues measure and how noisy it is, for other tests to rely on."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from lowdose.image import HU
from lowdose.io.open_series import open_source
from lowdose.io.pairing import find_pairs
from support.ct_pair import CTPair

LIVER = np.s_[2:, 140:156, 66:86]
BEYOND_THE_FIELD = np.s_[:, :20, :20]


@pytest.fixture(scope="module")
def hu(ct_pair: CTPair) -> dict[str, HU]:
    """Dose -> HU, (z, y, x)."""
    volumes = {}
    for dose, folder in ct_pair._asdict().items():
        with open_source(folder) as source:
            volumes[dose] = np.stack([source.read(index).hu for index in range(len(source))])
    return volumes


def test_slices_are_axial_3_mm_thick_and_256_pixels_wide(ct_pair: CTPair) -> None:
    for folder in ct_pair:
        with open_source(folder) as source:
            assert len(source) == 6
            assert np.allclose(np.diff([plane.position for plane in source.planes]), 3.0)
            assert source.read(0).hu.shape == (256, 256)
    header = dcmread(ct_pair.full / "00001.dcm")
    assert header.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert (header.Modality, header.PatientName, float(header.SliceThickness)) == ("CT", "PHANTOM", 3.0)


def test_the_two_doses_are_found_as_a_pair(ct_pair: CTPair) -> None:
    (pair,) = find_pairs(ct_pair.full.parent)
    assert (pair.full, pair.low) == ct_pair


def test_liver_in_portal_venous_phase_has_about_100_hu_at_both_doses(hu: dict[str, HU]) -> None:
    for volume in hu.values():
        assert volume[LIVER].mean() == pytest.approx(102.0, abs=2.0)
        assert (volume[BEYOND_THE_FIELD] == -1024).all()


def test_a_quarter_of_the_dose_has_about_twice_the_noise(hu: dict[str, HU]) -> None:
    full, quarter = (volume[LIVER].std(axis=(1, 2)).mean() for volume in (hu["full"], hu["quarter"]))
    assert 6.0 < full < 12.0
    assert quarter / full == pytest.approx(2.0, rel=0.15)


def test_files_are_small(ct_pair: CTPair) -> None:
    assert sum(file.stat().st_size for folder in ct_pair for file in folder.iterdir()) < 400_000
