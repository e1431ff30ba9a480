"""Lesions in patches: the same in both images, reproducible, with a template that measures their contrast."""

import numpy as np
import pytest
import torch

from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_fields import USUAL
from lowdose.data.patch_lesions import contrast_template, draw_lesion
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import Patches
from lowdose.data.slice_context import StackPosition

PLAIN = Augmentation(gain_low=1.0, gain_high=1.0, share=0.0)
SIZE = 64


def pair(number: int, hu: float = 60.0, side: int = 120, noise: float = 10.0) -> PairedSlice:
    """A slice of even tissue; full dose has noise, low dose that and more, in whole HU."""
    rng = np.random.default_rng(number)
    full = np.rint(hu + noise * rng.standard_normal((side, side))).astype(np.float32)
    low = np.rint(full + 2 * noise * rng.standard_normal((side, side))).astype(np.float32)
    place = StackPosition("stack", number, 0.0)
    return PairedSlice(0, f"{number}", 0.8, 3.0, lambda: (low, full), stack_position=place)


def patches(share: float, augmentation: Augmentation = PLAIN, hu: float = 60.0, context: int = 0) -> Patches:
    fields = (*USUAL, "lesion") if share else USUAL
    return Patches(SliceCache([pair(n, hu) for n in range(3)], context), SIZE, augmentation, 4, share, fields)


def disc(y: float, x: float, radius: float, side: int = 64) -> np.ndarray:
    rows, columns = np.indices((side, side))
    return np.hypot(rows - y, columns - x) <= radius


def test_without_a_share_nothing_changes() -> None:
    with_some, without = patches(0.5, Augmentation()), patches(0.0, Augmentation())
    has = []
    for index in range(24):
        low, full, dose, lesion = with_some[index].values()
        plain = tuple(without[index].values())
        assert len(plain) == 3
        assert lesion.shape == full.shape
        assert dose.isnan()
        has.append(bool(lesion.any()))
        assert has[-1] or (torch.equal(low, plain[0]) and torch.equal(full, plain[1]))
        assert not has[-1] or not torch.equal(full, plain[1])
    assert 6 <= sum(has) <= 18


def test_both_images_get_the_same_lesion_and_it_lies_within() -> None:
    with_lesions, without = patches(1.0), patches(0.0)
    for index in range(12):
        (low, full, _, lesion), (plain_low, plain_full, _) = (of[index].values() for of in (with_lesions, without))
        added = full - plain_full
        torch.testing.assert_close(low - plain_low, added, rtol=0, atol=1e-3)
        assert float(added[0, 0].abs().max() + added[0, -1].abs().max()) == 0.0
        assert float(added[0, :, 0].abs().max() + added[0, :, -1].abs().max()) == 0.0
        kept = float((lesion * added).sum())
        # The profile's weighted mean: most of 15 to 60 HU.
        assert 9 < abs(kept) < 61
        assert abs(kept) <= float(added.abs().max()) + 1e-3


def test_lesions_depend_on_seed_and_number_only() -> None:
    one, two = patches(1.0, Augmentation()), patches(1.0, Augmentation())
    one[3], one[9]
    for a, b in zip(one[7].values(), two[7].values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    other = Patches(one.slices, SIZE, one.augmentation, 5, 1.0, one.fields)
    assert not torch.equal(one[7]["lesion"], other[7]["lesion"])


def test_batches_hold_templates_only_where_lesions_are_inserted() -> None:
    (batch,) = batches(patches(1.0), 4, 0, 1)
    assert batch.lesion.shape == batch.full.shape
    (plain,) = batches(patches(0.0), 4, 0, 1)
    assert plain.lesion.shape == (0,)
    assert len(plain.lesion.chunk(2)) == 2  # as for gradient accumulation


def test_the_template_follows_kernel_pixels_and_orientation() -> None:
    """Of what the lesion changed in the varied patch, the template measures the contrast: none is lost on the way."""
    augmentation = Augmentation(0.8, 1.5, 1.0, 1.0, 0.45, 1.2, share=1.0)
    found, without = patches(1.0, augmentation), patches(0.0, augmentation)
    kept = []
    for index in range(16):
        (_, full, _, lesion), (_, plain, _) = (of[index].values() for of in (found, without))
        added = full - plain
        kept.append(float((lesion * added).sum()) / float(added.abs().max()))
        inside = lesion > 0
        assert float(lesion[inside].sum()) == pytest.approx(1, abs=1e-4)
        assert float(lesion.sum()) == pytest.approx(0, abs=1e-4)
        assert float(added[inside].abs().mean()) > 3 * float(added[~inside].abs().mean())
    assert min(np.abs(kept)) > 0.4


def test_neighbours_get_the_part_of_the_lesion_in_them() -> None:
    found, without = patches(1.0, context=1), patches(0.0, context=1)
    for index in range(6):
        added = (found[index]["low"] - without[index]["low"]).abs().sum(dim=(1, 2))
        assert added.shape == (3,)
        assert added.argmax() == 1 or float(added.max() - added[1]) == 0


@pytest.mark.parametrize("hu", [-1000.0, -100.0, 900.0])
def test_no_lesions_in_air_fat_and_bone(hu: float) -> None:
    assert not any(bool(patches(1.0, hu=hu)[index]["lesion"].any()) for index in range(6))


def test_lung_gets_brighter_spots() -> None:
    found, without = patches(1.0, hu=-850.0), patches(0.0, hu=-850.0)
    for index in range(6):
        (_, full, _, lesion), (_, plain, _) = (of[index].values() for of in (found, without))
        assert float((lesion * (full - plain)).sum()) > 30


def test_a_border_is_kept() -> None:
    full = np.full((1, 64, 64), 60, np.float32)
    for seed in range(20):
        lesion = draw_lesion(full, 0.8, 3.0, 3.0, 12.0, np.random.default_rng(seed))
        assert lesion is not None
        assert min(lesion.y, lesion.x) - lesion.diameter_px / 2 >= 12
        assert max(lesion.y, lesion.x) + lesion.diameter_px / 2 <= 64 - 12
    assert draw_lesion(full, 0.8, 3.0, 3.0, 28.0, np.random.default_rng(0)) is None


@pytest.mark.parametrize("contrast", [-30.0, 45.0])
def test_template_gives_a_disc_its_contrast_on_any_level(contrast: float) -> None:
    lesion = np.where(disc(30, 34, 6), contrast, 0).astype(np.float32)
    template = contrast_template(lesion, 30, 34, 12.0, contrast)
    assert float((template * (lesion + 60)).sum(dtype=np.float64)) == pytest.approx(contrast, rel=1e-4)
    assert not template[~disc(30, 34, 16)].any()
    noise = 20 * np.random.default_rng(0).standard_normal((200, 64, 64))
    # SD of a mean of 113 pixels less one of some 500
    assert (template * noise).sum(axis=(1, 2)).std() == pytest.approx(20 * (1 / 113 + 1 / 500) ** 0.5, rel=0.15)
    assert not contrast_template(np.zeros_like(lesion), 30, 34, 12.0, contrast).any()
