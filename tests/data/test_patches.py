"""Pairs, splits and patches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.data.augmentation import Augmentation, PatchVariation, apply_variation
from lowdose.data.batches import batches
from lowdose.data.pairs import PairedSlice, split_by_patient
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import COMPLETE_SHARE, Patches, draw_slice
from lowdose.data.transforms.kernel_conversion import convert_kernel
from lowdose.errors import InvalidSetting

PLAIN = Augmentation(gain_low=1.0, gain_high=1.0, share=0.0)


def pair(patient: int, seed: int, size: int = 48) -> PairedSlice:
    rng = np.random.default_rng(seed)
    full = np.rint(rng.normal(50, 20, (size, size))).astype(np.float32)
    low = np.rint(full + rng.normal(0, 30, (size, size))).astype(np.float32)
    return PairedSlice(patient, str(seed), 0.8, 3.0, lambda: (low, full))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_no_patient_is_on_both_sides(patients: list[int], held_out: int) -> None:
    items = [pair(patient, index) for index, patient in enumerate(patients)]
    if held_out >= len(set(patients)):
        with pytest.raises(InvalidSetting, match="at least one must stay"):
            split_by_patient(items, held_out)
        return
    train, check = split_by_patient(items, held_out)
    assert {i.patient for i in train}.isdisjoint({i.patient for i in check})
    assert len(train) + len(check) == len(items)
    assert len({i.patient for i in check}) == held_out
    assert train


def test_cache_decodes_once_within_its_budget_and_reads_again_beyond() -> None:
    reads = []

    def read() -> tuple[np.ndarray, np.ndarray]:
        reads.append(1)
        return np.full((8, 8), 1.4, np.float32), np.full((8, 8), -40000.0, np.float32)

    item = PairedSlice(0, "one", None, None, read)
    kept = SliceCache([item])
    low, full = kept[0].middle
    assert (kept[0].middle.low is low, int(low[0, 0]), int(full[0, 0]), len(reads)) == (True, 1, -32768, 1)
    small = SliceCache([item], budget=10)
    small[0], small[0]
    assert len(reads) == 3
    with pytest.raises(InvalidSetting):
        SliceCache([])


def test_patches_are_crops_of_their_slices_in_one_orientation() -> None:
    cache = SliceCache([pair(0, s) for s in range(3)])
    patches = Patches(cache, 16, PLAIN, seed=5)
    for index in range(20):
        low, full, dose = (part.round() for part in patches[index].values())
        assert dose.isnan()
        found = False
        for slice_index in range(3):
            a, b = cache[slice_index].middle
            for turns in range(4):
                for flip in (False, True):
                    x, y = (np.rot90(i, turns) for i in (a, b))
                    x, y = (i[:, ::-1] if flip else i for i in (x, y))
                    windows = np.lib.stride_tricks.sliding_window_view(x, (16, 16))
                    places = np.argwhere((windows == low[0].numpy()).all(axis=(2, 3)))
                    for py, px in places:
                        found |= bool((y[py : py + 16, px : px + 16] == full[0].numpy()).all())
        assert found


def test_patch_depends_on_seed_and_number_only() -> None:
    cache = SliceCache([pair(0, s) for s in range(3)])
    one, two, other = (Patches(cache, 16, Augmentation(), seed) for seed in (1, 1, 2))
    one[3], one[9]
    assert torch.equal(one[7]["low"], two[7]["low"])
    assert not torch.equal(one[7]["low"], other[7]["low"])
    assert not torch.equal(one[7]["low"], one[8]["low"])


def test_processes_share_one_batch() -> None:
    cache = SliceCache([pair(0, s) for s in range(3)])
    patches = Patches(cache, 16, Augmentation(), 0)
    whole = list(batches(patches, 4, 2, 5, 0, 1))
    parts = [list(batches(patches, 2, 2, 5, rank, 2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        assert torch.equal(batch.low, torch.cat([parts[0][step].low, parts[1][step].low]))
    again = list(batches(patches, 4, 3, 5, workers=2))
    assert torch.equal(again[0].full, whole[1].full)


def test_gain_scales_only_what_low_dose_adds() -> None:
    rng = np.random.default_rng(0)
    full = rng.normal(0, 10, (40, 40)).astype(np.float32)
    low = full + rng.normal(0, 30, (40, 40)).astype(np.float32)
    louder, still = apply_variation(low[None], full[None], PatchVariation(gain=2.0), 0.7, None, 40)
    np.testing.assert_allclose(louder - full, 2 * (low - full), atol=1e-3)
    np.testing.assert_allclose(still, full, atol=1e-3)


def test_half_of_the_patches_get_another_kernel_and_half_other_pixels() -> None:
    rng = np.random.default_rng(0)
    looks = [Augmentation(0.7, 2.0, pixel_low=0.4, pixel_high=0.9).draw(0.7, rng) for _ in range(400)]
    for values, low, high in (([x.cutoff for x in looks], 0.7, 2.0), ([x.pixel_mm for x in looks], 0.4, 0.9)):
        drawn = [value for value in values if value is not None]
        assert 160 <= len(drawn) <= 240
        assert low <= min(drawn) < 1.05 * low
        assert 0.95 * high < max(drawn) <= high
        assert np.median(drawn) == pytest.approx((low * high) ** 0.5, rel=0.1)


def test_pixels_change_at_most_twofold() -> None:
    assert Augmentation(pixel_low=0.1, pixel_high=3.0).pixels(0.7) == (0.35, 1.4)


def test_kernel_conversion_filters_both_doses_alike() -> None:
    rng = np.random.default_rng(0)
    full = rng.normal(0, 10, (64, 64)).astype(np.float32)
    low = full + rng.normal(0, 30, (64, 64)).astype(np.float32)
    a, b = apply_variation(low[None], full[None], PatchVariation(cutoff=0.8, pixel_mm=0.5), 0.7, 1.0, 90)
    assert a.shape == (90, 90)
    np.testing.assert_allclose(
        a - b, convert_kernel((low - full)[None], 0.7, cutoff=0.8, own=1.0, side=90)[0], atol=1e-3
    )


def test_of_two_random_windows_the_one_with_more_tissue_is_taken() -> None:
    """Left half body, right half air: by chance a half of all patches would show no body, so a quarter does."""
    hu = np.full((64, 200), -1000, np.float32)
    hu[:, :100] = 40.0
    cache = SliceCache([PairedSlice(0, "half", 0.8, 3.0, lambda: (hu, hu))])
    patches = Patches(cache, 16, PLAIN, 0)
    empty = np.mean([patches[n]["full"].max() < -500 for n in range(400)])
    # Windows of 32 pixels start at columns 0 to 168, those from 100 on in air.
    assert empty == pytest.approx((69 / 169) ** 2, abs=0.06)


def test_slices_too_small_for_the_patch() -> None:
    with pytest.raises(InvalidSetting, match="too small"):
        Patches(SliceCache([pair(0, 0, 20)]), 16, PLAIN, 0)[0]


@pytest.mark.parametrize(
    ("count", "complete", "share"), [(20, [3, 7], COMPLETE_SHARE), (4, [0, 1, 2, 3], 1.0), (10, list(range(9)), 0.9)]
)
def test_slices_with_all_neighbours_are_drawn_often_enough(count: int, complete: list[int], share: float) -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_slice(count, complete, rng) for _ in range(20_000)])
    assert np.isin(drawn, complete).mean() == pytest.approx(share, abs=0.01)
    rates = np.bincount(drawn, minlength=count) / len(drawn)
    assert rates[complete] == pytest.approx(share / len(complete), abs=0.01), "all of them equally often"


def test_without_neighbours_the_first_number_of_the_generator_is_the_slice() -> None:
    """Patches of a network for one slice stay as they were."""
    for complete in ([], list(range(50))):
        assert draw_slice(50, complete, np.random.default_rng(4)) == np.random.default_rng(4).integers(50)
