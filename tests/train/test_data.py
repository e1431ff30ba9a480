"""Pairs, splits and patches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowdose.data.pairs import PairedSlice, SliceCache, split_by_patient
from lowdose.data.patches import Augmentation, Patches, batches, soften
from lowdose.errors import InvalidSetting

PLAIN = Augmentation(cutoff_low=1e9, cutoff_high=1e9, gain_low=1.0, gain_high=1.0)


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
    low, full = kept[0]
    assert (kept[0][0] is low, int(low[0, 0]), int(full[0, 0]), len(reads)) == (True, 1, -32768, 1)
    small = SliceCache([item], budget=10)
    small[0], small[0]
    assert len(reads) == 3
    with pytest.raises(InvalidSetting):
        SliceCache([])


def test_patches_are_crops_of_their_slices_in_one_orientation() -> None:
    cache = SliceCache([pair(0, s) for s in range(3)])
    patches = Patches(cache, 16, PLAIN, seed=5)
    for index in range(20):
        low, full = (part.round() for part in patches[index])
        found = False
        for slice_index in range(3):
            a, b = cache[slice_index]
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
    assert torch.equal(one[7][0], two[7][0])
    assert not torch.equal(one[7][0], other[7][0])
    assert not torch.equal(one[7][0], one[8][0])


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
    plain = Augmentation(1e9, 1e9, 2.0, 2.0)
    louder, still = plain.apply(low, full, 0.7, np.random.default_rng(1))
    np.testing.assert_allclose(louder - full, 2 * (low - full), atol=1e-3)
    np.testing.assert_allclose(still, full, atol=1e-3)


def test_softening_is_one_filter_on_both_in_half_of_the_patches() -> None:
    rng = np.random.default_rng(0)
    full = rng.normal(0, 10, (64, 64)).astype(np.float32)
    low = full + rng.normal(0, 30, (64, 64)).astype(np.float32)
    softened = 0
    for seed in range(40):
        a, b = Augmentation(0.8, 0.8, 1.0, 1.0).apply(low, full, 0.7, np.random.default_rng(seed))
        if not np.allclose(b, full, atol=1e-3):
            softened += 1
            np.testing.assert_allclose(a - b, soften(low - full, 0.8, 0.7), atol=1e-2)
    assert 10 <= softened <= 30


def test_soften_is_the_hann_window() -> None:
    pixel, cutoff = 0.7, 0.6
    y, x = np.mgrid[:70, :70] * pixel
    for cycles in ((0, 7), (14, 0), (7, 21), (35, 0)):
        fy, fx = (c / (70 * pixel) for c in cycles)
        wave = np.cos(2 * np.pi * (fy * y + fx * x)).astype(np.float32)
        f = np.hypot(fy, fx)
        expected = 0.5 + 0.5 * np.cos(np.pi * f / cutoff) if f < cutoff else 0.0
        np.testing.assert_allclose(soften(wave, cutoff, pixel), expected * wave, atol=1e-5)
    np.testing.assert_allclose(soften(np.full((20, 20), 50, np.float32), 0.7, 0.7), 50, rtol=1e-6)


def test_slices_too_small_for_the_patch() -> None:
    with pytest.raises(InvalidSetting, match="too small"):
        Patches(SliceCache([pair(0, 0, 20)]), 16, PLAIN, 0)[0]
