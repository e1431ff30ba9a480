"""Lesions measured back: contrast, size, place; nothing outside the box changes; noise stays, vessels go."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.errors import InvalidSetting
from lowdose.image import Acquisition, Geometry
from lowdose.phantom.lesions import KINDS, insert_lesion
from lowdose.volume import Volume

RNG = np.random.default_rng(0)


def scan(
    hu: float, noise: float = 0.0, spacing: tuple[float, float, float] = (1.0, 0.8, 0.8), thick: float | None = None
) -> Volume:
    shape = (31, 96, 96)
    values = (hu + noise * RNG.standard_normal(shape)).astype(np.float32)
    return Volume(values, Geometry(spacing, (-38.0, -38.0, 100.0)), Acquisition(thickness_mm=thick))


@pytest.mark.parametrize("kind", ["metastasis", "solid_nodule", "cyst"])  # the fourth is not of one contrast
def test_the_sum_of_what_was_added_is_contrast_times_volume(kind: str) -> None:
    before = scan(100.0)
    after, lesion = insert_lesion(before, kind, (15, 48, 47.3), 16.0, -40.0, 1)
    added = float((after.hu - before.hu).sum(dtype=np.float64)) * np.prod(before.geometry.spacing)
    ball = np.pi / 6 * 16.0**3
    assert added / -40.0 == pytest.approx(ball, rel=0.06)
    assert lesion.contrast_hu == -40.0


def test_size_and_contrast_are_measured_back() -> None:
    before = scan(110.0, noise=12.0)
    after, lesion = insert_lesion(before, "metastasis", (15, 48, 48), 20.0, -45.0, 4)
    change = after.hu - before.hu
    core = np.zeros(change.shape, bool)
    core[12:19, 43:53, 43:53] = True
    assert change[core].mean() == pytest.approx(-45.0, abs=2.0)
    volume = lesion.mask.sum() * np.prod(before.geometry.spacing)
    assert np.cbrt(6 * volume / np.pi) == pytest.approx(20.0, rel=0.05)
    np.testing.assert_allclose(np.argwhere(lesion.mask).mean(axis=0), lesion.centre_voxel, atol=1.0)
    np.testing.assert_allclose(lesion.centre_mm, (-38 + 48 * 0.8, -38 + 48 * 0.8, 115.0))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_the_box_changes(kind: str) -> None:
    before = scan(40.0, noise=10.0)
    kept = before.hu.copy()
    after, lesion = insert_lesion(before, kind, (3, 20, 90), 14.0, None, 7)
    assert np.array_equal(before.hu, kept)
    z0, y0, x0, z1, y1, x1 = lesion.box
    inside = np.zeros(before.hu.shape, bool)
    inside[z0:z1, y0:y1, x0:x1] = True
    assert np.array_equal(after.hu[~inside], before.hu[~inside])
    assert (after.hu[inside] != before.hu[inside]).any()
    assert not lesion.mask[~inside].any()


def test_the_noise_of_the_scan_stays() -> None:
    before = scan(100.0, noise=15.0)
    after, _ = insert_lesion(before, "metastasis", (15, 48, 48), 24.0, -50.0, 1)
    core = np.s_[11:20, 42:55, 42:55]
    assert after.hu[core].std() == pytest.approx(before.hu[core].std(), rel=0.05)
    assert np.corrcoef(after.hu[core].ravel(), before.hu[core].ravel())[0, 1] > 0.97


def test_a_solid_nodule_hides_the_vessel_it_grew_over() -> None:
    before = scan(-860.0, noise=20.0)
    before.hu[:, 47:50, :] += 900.0
    before.hu[:, :3, :] = before.hu[:, :, :3] = 40.0  # the chest wall: there is a body to be in
    after, lesion = insert_lesion(before, "solid_nodule", (15, 48, 48), 16.0, None, 2)
    row = after.hu[13:18, 43:54, 45:52].mean(axis=(0, 2))
    assert lesion.contrast_hu == pytest.approx(885, abs=15)
    assert np.ptp(row) < 120
    assert row.mean() == pytest.approx(25, abs=40)


def test_a_cyst_is_water_wherever_it_lies() -> None:
    before = scan(180.0, noise=5.0)
    before.hu[:, :, 48:] -= 280.0
    after, _ = insert_lesion(before, "cyst", (15, 48, 48), 20.0, None, 3)
    assert after.hu[13:18, 44:53, 44:53].mean() == pytest.approx(4.0, abs=6.0)


def test_thick_slices_hold_the_same_lesion() -> None:
    thin, thick = scan(0.0), scan(0.0, spacing=(5.0, 0.8, 0.8), thick=5.0)
    sums = []
    for volume, z in ((thin, 15.0), (thick, 15.4)):
        after, _ = insert_lesion(volume, "solid_nodule", (z, 48, 48), 6.0, 100.0, 5)
        sums.append(float((after.hu - volume.hu).sum(dtype=np.float64)) * np.prod(volume.geometry.spacing))
        if volume is thick:
            assert (after.hu - volume.hu).max() < 100.0
    assert sums[1] == pytest.approx(sums[0], rel=0.06)


def test_overlapping_slices_show_it_over_their_whole_thickness() -> None:
    volume = scan(0.0, spacing=(1.0, 0.8, 0.8), thick=4.0)
    after, lesion = insert_lesion(volume, "cyst", (15, 48, 48), 6.0, 100.0, 5)
    changed = np.flatnonzero((after.hu != 0).any(axis=(1, 2)))
    assert 9 <= len(changed) <= 11
    assert lesion.box[0] <= changed[0] < changed[-1] < lesion.box[3]


def test_part_solid_nodule_is_denser_inside() -> None:
    before = scan(-860.0)
    before.hu[:, :3, :] = before.hu[:, :, :3] = 40.0
    after, lesion = insert_lesion(before, "part_solid_nodule", (15, 48, 48), 20.0, 880.0, 1)
    change = (after.hu - before.hu)[15]
    assert change.max() == pytest.approx(880, rel=0.01)
    assert 0.15 < (change > 700).sum() / lesion.mask[15].sum() < 0.5
    ring = lesion.mask[15] & (change < 500)
    assert ring.sum() > 100
    assert np.median(change[ring]) == pytest.approx(0.32 * 880, rel=0.1)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"kind": "wart"}, "wart"),
        ({"centre": (31, 48, 48)}, "31"),
        ({"centre": (15, -1, 48)}, "-1"),
        ({"centre": (float("nan"), 48, 48)}, "nan"),
        ({"centre": (48, 48)}, "48, 48"),
        ({"diameter_mm": 0.0}, "diameter 0 mm"),
        ({"diameter_mm": -3.0}, "-3"),
        ({"diameter_mm": float("nan")}, "nan"),
        ({"diameter_mm": 90.0}, "90 mm"),
        ({"contrast_hu": float("inf")}, "inf"),
    ],
)
def test_what_cannot_be_put_in_is_named(setting: dict, named: str) -> None:
    usual = {"kind": "cyst", "centre": (15, 48, 48), "diameter_mm": 10.0, "contrast_hu": 20.0}
    with pytest.raises(InvalidSetting, match=named):
        insert_lesion(scan(40.0), **{**usual, **setting})
