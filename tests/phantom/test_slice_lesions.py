"""Lesions in slices: kinds that are drawn, places with room for them, and what was inserted measured back."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.organ_classes import INDEX, classes_of
from lowdose.phantom.lesion_kinds import LARGEST_MM, LESION_ORGANS, SMALLEST_MM, SOFT_TISSUE, LesionKind, draw_kind
from lowdose.phantom.lesion_sites import even_tissue, organ_masks, without_vessels
from lowdose.phantom.lesions import KINDS
from lowdose.phantom.patient import digital_patient
from lowdose.phantom.slice_lesions import (
    APART_MM,
    TO_EDGE_MM,
    PlannedSliceLesion,
    depth_mm,
    insert_lesions,
    place_lesions,
    slice_volume,
)

PIXEL = 0.8


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= radius


def tissue(hu: float, sd: float = 0.0, slices: int = 1, side: int = 128) -> np.ndarray:
    return (hu + sd * np.random.default_rng(0).standard_normal((slices, side, side))).astype(np.float32)


@pytest.mark.parametrize("organ", LESION_ORGANS)
def test_drawn_kinds_are_small_and_faint(organ: str) -> None:
    rng = np.random.default_rng(0)
    kinds = [draw_kind(organ, rng) for _ in range(300)]
    diameters, contrasts = (np.array([getattr(kind, name) for kind in kinds]) for name in ("diameter_mm", "contrast"))
    assert {kind.organ for kind in kinds} == {organ}
    assert {kind.shape for kind in kinds} <= set(KINDS)
    assert SMALLEST_MM <= diameters.min() < 4.2
    assert 14 < diameters.max() <= LARGEST_MM
    assert np.median(diameters) == pytest.approx((SMALLEST_MM * LARGEST_MM) ** 0.5, rel=0.1)
    if organ == "lung":
        assert 60 <= contrasts.min() < 75
        assert 280 < contrasts.max() <= 300
        return
    assert 15 <= np.abs(contrasts).min() < 17
    assert 57 < np.abs(contrasts).max() <= 60
    assert 0.5 < (contrasts < 0).mean() < 0.9
    assert draw_kind(organ, rng, 2.0).diameter_mm == pytest.approx(SMALLEST_MM)


def test_places_are_apart_and_inside() -> None:
    room = {"liver": disc((256, 256), 120, 70, 66), "lung": disc((256, 256), 120, 200, 50)}
    kinds = [LesionKind(organ, "metastasis", d, -30.0) for organ in room for d in (4.0, 6.0, 8.0, 10.0, 15.0)]
    planned = place_lesions(room, kinds, PIXEL, np.random.default_rng(3))
    assert {lesion.kind for lesion in planned} == set(kinds)
    for n, lesion in enumerate(planned):
        radius = lesion.kind.diameter_mm / 2
        assert (room[lesion.kind.organ] | ~disc((256, 256), lesion.y, lesion.x, (radius + 1) / PIXEL)).all()
        for other in planned[:n]:
            if other.kind.organ == lesion.kind.organ:
                gap = PIXEL * np.hypot(lesion.y - other.y, lesion.x - other.x) - radius - other.kind.diameter_mm / 2
                assert gap > APART_MM
    assert place_lesions({"liver": disc((64, 64), 30, 30, 3)}, kinds, PIXEL, np.random.default_rng(3)) == []


def test_room_leaves_vessels_out() -> None:
    organ, vessel = disc((128, 128), 64, 64, 50), disc((128, 128), 64, 40, 8)
    hu = np.where(vessel, 160.0, 60.0) + np.random.default_rng(0).normal(0, 20, organ.shape)
    room = without_vessels(hu, organ, "liver", PIXEL)
    assert not room[vessel].any()
    assert room[disc(organ.shape, 64, 80, 20)].mean() > 0.95


@pytest.mark.parametrize("sd", [0.0, 20.0, 40.0])
def test_even_tissue_is_soft_tissue_and_lung_without_edges(sd: float) -> None:
    """A body of soft tissue with a lung, a vessel in it and bone, in air."""
    shape = (192, 192)
    body, lung, bone = (disc(shape, *where) for where in ((96, 96, 85), (96, 60, 38), (96, 150, 12)))
    vessel = disc(shape, 96, 45, 4)
    hu = np.select([vessel, bone, lung, body], [60.0, 700.0, -850.0, 50.0], -1000.0)
    found = even_tissue((hu + sd * np.random.default_rng(0).standard_normal(shape)).astype(np.float32), PIXEL)
    assert set(found) == {SOFT_TISSUE, "lung"}
    assert (body & ~lung & ~bone)[found[SOFT_TISSUE]].all()
    assert (lung & ~vessel)[found["lung"]].all()
    inner = disc(shape, 40, 110, 8)
    assert found[SOFT_TISSUE][inner].mean() > 0.9
    assert found["lung"][disc(shape, 96, 76, 6)].mean() > 0.9


def test_organs_of_a_digital_patient_get_lesions_within_them() -> None:
    person = digital_patient(3, region=(50.0, 50.0), slices=1, spacing_mm=3.0, lesions=False)
    classes = classes_of(person.labels[0])
    masks = organ_masks(classes)
    assert "liver" in masks
    assert SOFT_TISSUE not in masks
    rng, pixel = np.random.default_rng(0), person.volume.geometry.pixel_mm
    kinds = [draw_kind(organ, rng, 8.0) for organ in masks]
    planned = place_lesions(masks, kinds, pixel, rng)
    changed, inserted = insert_lesions(person.volume, planned)
    assert [lesion.organ for lesion in inserted] == [lesion.kind.organ for lesion in planned]
    assert inserted
    for lesion in inserted:
        assert (classes == INDEX[lesion.organ])[lesion.mask[0]].all()
    everything = np.any([lesion.mask for lesion in inserted], axis=0)
    assert np.abs(changed.hu - person.volume.hu)[everything].mean() > 10


def test_what_was_inserted_is_measured_back() -> None:
    volume = slice_volume(tissue(60.0, 12.0)[0], (0.7, 0.7), 3.0)
    kind = LesionKind("liver", "metastasis", 15.0, -30.0)
    planned = [PlannedSliceLesion(kind, 40, 40, 1), PlannedSliceLesion(kind._replace(contrast=40.0), 90, 80, 2)]
    changed, inserted = insert_lesions(volume, planned)
    added = changed.hu - volume.hu
    for lesion, plan in zip(inserted, planned, strict=True):
        assert (lesion.organ, lesion.shape, lesion.diameter_mm) == ("liver", "metastasis", 15.0)
        assert (lesion.centre, lesion.contrast_hu) == ((plan.y, plan.x), plan.kind.contrast)
        core = disc(added.shape[1:], plan.y, plan.x, 6)
        assert added[0][core].mean() == pytest.approx(lesion.contrast_hu, abs=1.5)
        area = lesion.mask.sum() * 0.7**2
        assert 2 * (area / np.pi) ** 0.5 == pytest.approx(15.0, rel=0.15)
    assert np.count_nonzero(added) < 2500


def test_fewer_subsamples_are_nearly_the_same() -> None:
    volume = slice_volume(tissue(60.0), (PIXEL, PIXEL), 3.0)
    for diameter in (4.0, 8.0, 15.0):
        planned = [PlannedSliceLesion(LesionKind("liver", "metastasis", diameter, -40.0), 64, 64, 5)]
        fine, coarse = (insert_lesions(volume, planned, n)[0].hu for n in (5, 2))
        assert np.abs(fine - coarse).max() < 1.5


def test_a_lesion_reaches_into_the_neighbouring_slices_as_far_as_its_radius() -> None:
    volume = slice_volume(tissue(60.0, slices=5), (PIXEL, PIXEL), 2.0, step_mm=4.0)
    planned = [PlannedSliceLesion(LesionKind("liver", "metastasis", 10.0, -40.0), 64, 64, 5)]
    added = insert_lesions(volume, planned)[0].hu - volume.hu
    deepest = added.min(axis=(1, 2))
    assert deepest[2] == pytest.approx(-40, abs=1)
    assert (deepest[[1, 3]] < -10).all()
    assert (deepest[[0, 4]] > -1).all()


def test_depth_is_the_distance_from_the_edge() -> None:
    organ = disc((96, 96), 48, 48, 20)
    assert depth_mm(organ, 0.5).max() == pytest.approx(10.5, abs=0.6)
    assert TO_EDGE_MM > 0
