"""What else patches can have than a low-dose and a full-dose image, and that what they had stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from lowdose.batch import PairedBatch, split_batch
from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_boxes import move_boxes
from lowdose.data.patch_fields import FIELDS, USUAL, check_fields
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import Patches
from lowdose.data.slice_context import StackPosition
from lowdose.errors import InvalidSetting
from lowdose.image import HU

PLAIN = Augmentation(gain_low=1.0, gain_high=1.0, share=0.0)
SIZE = 32
CONTEXT = (8769.725666, 8336.021220)
LESIONS = (8970.585173, 8595.382556, 1.0743345e-05)
VARIED = (8880.269486, 8371.057804)
"""Mean squares of low, full and lesion of eight patches, as an earlier version cut them."""


def body(number: int, size: int = 96) -> PairedSlice:
    """A disc of tissue in air, in whole HU."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:size, :size]
    disc = np.where((y - 48) ** 2 + (x - 48) ** 2 < 40**2, 40, -1000)
    full = np.rint(disc + rng.normal(0, 12, (size, size))).astype(np.float32)
    low = np.rint(full + rng.normal(0, 30, (size, size))).astype(np.float32)
    place = StackPosition("a", number)
    return PairedSlice(number // 3, str(number), 0.8, 3.0, lambda: (low, full), stack_position=place)


def drawn(make: Callable[[int, int], float], number: int, shape: tuple[int, int] = (80, 120)) -> PairedSlice:
    hu: HU = np.fromfunction(make, shape, dtype=np.float32)
    hu = np.broadcast_to(hu, shape).astype(np.float32)
    return PairedSlice(0, str(number), 0.8, 3.0, lambda: (hu, hu), stack_position=StackPosition("a", number))


def patches(items: list[PairedSlice], *fields: str, augmentation: Augmentation = PLAIN, context: int = 0) -> Patches:
    return Patches(SliceCache(items, context), SIZE, augmentation, 3, float("lesion" in fields), fields)


def test_patches_of_the_usual_fields_stay_what_they_were() -> None:
    """Runs of before are resumed with the same patches; hashes and mean squares are those of an earlier version."""
    some = Patches(SliceCache([body(n) for n in range(6)]), SIZE, PLAIN, 3)
    hashes = [
        hashlib.sha256(b"".join(part.numpy().tobytes() for part in batch[:3])).hexdigest()[:16]
        for batch in batches(some, 4, 0, 2)
    ]
    assert hashes == ["fe575bf5746cb9a5", "d1289c78e0711dee"]
    for context, share, expected in ((1, 0.0, CONTEXT), (1, 0.6, LESIONS), (0, 0.0, VARIED)):
        fields = (*USUAL, "lesion") if share else USUAL
        some = Patches(SliceCache([body(n) for n in range(6)], context), SIZE, Augmentation(), 3, share, fields)
        (batch,) = batches(some, 8, 0, 1)
        found = [
            float(image.double().square().mean()) for image in (batch.low, batch.full, batch.lesion)[: len(expected)]
        ]
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_patch_has_what_is_asked_for_and_the_rest_does_not_change() -> None:
    items = [body(n) for n in range(6)]
    usual = patches(items, *USUAL, augmentation=Augmentation(), context=1)
    every = patches(items, *(name for name in FIELDS if name != "lesion"), augmentation=Augmentation(), context=1)
    few = patches(items, "low", augmentation=Augmentation(), context=1)
    for index in range(8):
        assert set(few[index]) == {"low"}
        assert set(usual[index]) == set(USUAL)
        assert set(every[index]) == {*FIELDS, "labels"} - {"lesion"}
        for name in USUAL:
            torch.testing.assert_close(every[index][name], usual[index][name], rtol=0, atol=1e-3, equal_nan=True)
    (batch,) = batches(few, 4, 0, 1)
    assert (batch.full.numel(), batch.number.tolist()) == (0, [0, 1, 2, 3])


def test_neighbours_of_the_target_are_those_of_the_input() -> None:
    fulls = [(item, item.read()[1]) for item in map(body, range(5))]
    items = [replace(item, read=lambda full=full: (full, full)) for item, full in fulls]  # type: ignore[misc]
    some = patches(items, "low", "full", "full_context", augmentation=Augmentation(), context=1)
    for index in range(12):
        patch = some[index]
        assert patch["full_context"].shape == (3, SIZE, SIZE)
        torch.testing.assert_close(patch["full_context"], patch["low"], rtol=0, atol=1e-2)
        torch.testing.assert_close(patch["full_context"][1:2], patch["full"], rtol=0, atol=0)


def test_the_position_is_that_of_the_centre() -> None:
    items = [drawn(lambda y, x, n=n: y + 1000 * n, n) for n in range(4)]  # type: ignore[misc]
    some = patches(items, "full", "position")
    for index in range(20):
        full, position = some[index].values()
        number, row = divmod(float(full.mean()), 1000)
        assert position[0] == pytest.approx(number / 3)
        assert position[1] * 80 - 0.5 == pytest.approx(row, abs=1e-3)
        assert 0 < position[2] < 1
    alone = [replace(item, stack_position=None) for item in items]
    assert patches(alone, "position")[0]["position"].isnan().tolist() == [True, False, False]


def test_an_unpaired_patch_is_of_another_slice_and_depends_on_seed_and_number_only() -> None:
    some = patches([drawn(lambda y, x, n=n: 0 * y + 100 * n, n) for n in range(3)], "low", "unpaired")  # type: ignore[misc]
    values = [(float(patch["low"].mean()), float(patch["unpaired"].mean())) for patch in (some[n] for n in range(40))]
    assert all(own != other for own, other in values)
    assert {other for _, other in values} == {0.0, 100.0, 200.0}
    varied = [patches([body(n) for n in range(4)], "unpaired", augmentation=Augmentation()) for _ in range(2)]
    _ = varied[0][3]
    assert torch.equal(varied[0][7]["unpaired"], varied[1][7]["unpaired"])
    only = patches([body(0)], "low", "unpaired")
    assert only[0]["unpaired"].shape == (1, SIZE, SIZE)


def test_boxes_of_lesions_lie_around_them_whatever_the_orientation() -> None:
    items = [drawn(lambda y, x: 0 * y + 60, n, (96, 96)) for n in range(3)]
    for augmentation in (PLAIN, Augmentation(0.8, 1.5, 1.0, 1.0, 0.5, 1.2, share=1.0)):
        with_lesions = patches(items, "full", "lesion", "boxes", augmentation=augmentation)
        without = Patches(with_lesions.slices, SIZE, augmentation, 3, 0.0, ("full", "boxes"))
        counts = 0
        for index in range(16):
            patch, plain = with_lesions[index], without[index]
            assert len(plain["boxes"]) == len(plain["labels"]) == 0
            added = (patch["full"] - plain["full"])[0].abs()
            assert patch["labels"].tolist() == [0] * len(patch["boxes"])
            for top, left, bottom, right in patch["boxes"].tolist():
                counts += 1
                rows, columns = torch.where(added > added.max() / 2)
                assert (top + bottom) / 2 == pytest.approx(float(rows.float().mean()) + 0.5, abs=1.6)
                assert (left + right) / 2 == pytest.approx(float(columns.float().mean()) + 0.5, abs=1.6)
                assert bottom - top == pytest.approx(float(rows.max() - rows.min()) + 1, abs=2.5)
                assert right - left == pytest.approx(float(columns.max() - columns.min()) + 1, abs=2.5)
        assert counts > 10


def test_annotated_boxes_move_with_their_pixels() -> None:
    hu = np.zeros((128, 128), np.float32)
    hu[20:30, 24:44] = 100
    item = PairedSlice(0, "0", 0.8, 3.0, lambda: (hu, hu), boxes=(((20.0, 24.0, 30.0, 44.0), 5),))
    some, seen = patches([item], "full", "boxes"), 0
    for index in range(200):
        full, boxes, labels = some[index].values()
        inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        for (top, left, bottom, right), label in zip(boxes.round().int().tolist(), labels, strict=True):
            inside[top:bottom, left:right] = True
            seen += 1
            assert label == 5
        assert torch.equal(inside, full[0] > 50)
    assert 10 < seen < 200


def test_a_box_outside_is_left_out() -> None:
    moved, inside = move_boxes([(0, 0, 4, 4), (2, 2, 12, 6)], (4, 2), 2.0, 16, 0, False)
    assert inside.tolist() == [False, True]
    assert moved[1].tolist() == [0, 0, 16, 8]


def test_parts_of_a_batch_keep_their_boxes() -> None:
    items = [drawn(lambda y, x: 0 * y + 60, n, (96, 96)) for n in range(3)]
    items[1] = replace(items[1], boxes=(((10.0, 10.0, 60.0, 60.0), 1), ((30.0, 30.0, 80.0, 80.0), 2)))
    (batch,) = batches(patches(items, "low", "boxes"), 8, 0, 1)
    assert isinstance(batch, PairedBatch)
    parts = split_batch(batch, 2)
    assert [len(part.boxes) for part in parts] == [int(part.box_counts.sum()) for part in parts]
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
    assert [part.number.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert all(part.full.numel() == 0 for part in parts)


def test_fields_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Mine\.fields names depth; there are low, full"):
        check_fields(("low", "depth"), "Mine", True, "folders")
    with pytest.raises(InvalidSetting, match="--pairing none: has no 'full_context', which Mine learns from"):
        check_fields(("low", "full_context"), "Mine", False, "none")
    check_fields(("low", "unpaired", "position", "boxes"), "Mine", False, "none")
