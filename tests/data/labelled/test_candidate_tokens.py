"""Crops with words: item n by (seed, n) alone, real and digital in their shares, padded with air, or whole slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.data.labelled import phantoms
from lowdose.data.labelled.candidate_tokens import CandidateTokenCrops, Item, candidate_token_batches, class_shares
from lowdose.data.labelled.phantoms import PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.image import AIR
from lowdose.language.relevance import candidate_pools, min_max
from lowdose.organ_classes import INDEX
from support.toy_patients import instead_of_digital_patients

people = pytest.fixture(autouse=True, name="people")(instead_of_digital_patients)
SIDE, VOCABULARY = 64, 50


def normal(number: int, patient: int, hu: np.ndarray) -> NormalDoseSlice:
    return NormalDoseSlice(
        patient, f"{number}", "series", hu.shape, (0.7, 0.7), None, None, None, None, None, lambda: hu
    )  # fmt: skip


def ramp(rows: int, columns: int, start: int = 0) -> np.ndarray:
    """Every pixel has a number of its own, so that a crop tells where it is from."""
    return np.float32(start + np.arange(rows * columns).reshape(rows, columns))


def built(folder: Path, images: Sequence[np.ndarray], patients: Sequence[int] | None = None) -> SegmentationCache:
    patients = patients or [1] * len(images)
    items = [normal(n, p, hu) for n, (p, hu) in enumerate(zip(patients, images, strict=True))]
    slices = SegmentationCache(folder, items, "abc")
    slices.build(lambda hu, _: (hu.astype(np.int64) % 7).astype(np.uint8), lambda *_: None)
    return slices


def choose(
    hu: np.ndarray, classes: np.ndarray, pixel: tuple[float, float] | None
) -> tuple[np.ndarray, ...]:  # of relevance, from what is seen
    rng = np.random.default_rng(int(classes.astype(np.int64).sum()))
    return candidate_pools(min_max(rng.random(VOCABULARY)))


def crops(folder: Path, seed: int = 0, share: float = 0.0, side: int = SIDE, **more: object) -> CandidateTokenCrops:
    real = built(folder / "real", [ramp(100, 90), ramp(70, 80, 10_000)])
    people = None
    if share:
        people = PhantomDataset(folder / "bank", 1)
        people.build(lambda *_: None)
    made = {"real": real, "digital": people, "digital_share": share, "side": side, "choose": choose, "seed": seed}
    return CandidateTokenCrops(**{**made, **more})


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(phantoms, "SLICES", 2)
        yield


def same(one: Item, other: Item) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_item_is_made_by_seed_and_number_alone(tmp_path: Path) -> None:
    one, again, other = crops(tmp_path, share=0.5), crops(tmp_path, share=0.5), crops(tmp_path, 1, share=0.5)
    first = [one[n] for n in range(6)]
    for n in reversed(range(6)):
        assert same(again[n], first[n])
    assert not any(same(other[n], first[n]) for n in range(6))
    assert len({item.hu.numpy().tobytes() for item in first}) == 6


def test_a_real_crop_is_of_the_slice_with_the_classes_of_its_pixels(tmp_path: Path) -> None:
    seen: list[tuple[np.ndarray, np.ndarray, object]] = []

    def note(hu: np.ndarray, classes: np.ndarray, pixel: object) -> tuple[np.ndarray, ...]:
        seen.append((hu, classes, pixel))
        return choose(hu, classes, None)

    found = crops(tmp_path, choose=note)
    places = set()
    for n in range(12):
        item = found[n]
        assert (item.hu.shape, item.hu.dtype) == ((1, SIDE, SIDE), torch.float32)
        hu, classes, pixel = seen[-1]
        assert np.array_equal(hu, item.hu[0].numpy())
        assert pixel == (0.7, 0.7)
        np.testing.assert_array_equal(classes, hu.astype(np.int64) % 7)
        assert (np.diff(hu, axis=1) == 1).all()
        places.add(float(hu[0, 0]))
    assert len(places) > 8


def test_candidate_pools_are_nested(tmp_path: Path) -> None:
    for item in (crops(tmp_path, share=0.5)[n] for n in range(6)):
        counts = item.counts.tolist()
        assert 1 <= counts[0] <= counts[1] <= counts[2] == len(item.candidates)
        assert item.candidates.dtype == torch.int64
        assert len(set(item.candidates.tolist())) == counts[2]
    batch = next(candidate_token_batches(crops(tmp_path), 3, 0, 1))
    alone = [crops(tmp_path)[n] for n in range(3)]
    for image, per_layer in enumerate(batch.pools()):
        assert torch.equal(per_layer[-1], alone[image].candidates)
        assert [len(pool) for pool in per_layer] == alone[image].counts.tolist()
        assert all(torch.equal(pool, per_layer[-1][: len(pool)]) for pool in per_layer)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_see_what_one_sees_with_the_doubled_batch(tmp_path: Path, workers: int) -> None:
    made = crops(tmp_path)
    whole = list(candidate_token_batches(made, 4, 2, 4))
    halves = [list(candidate_token_batches(made, 2, 2, 4, rank, 2, workers)) for rank in range(2)]
    for together, left, right in zip(whole, *halves, strict=True):
        assert torch.equal(together.hu, torch.cat([left.hu, right.hu]))
        assert torch.equal(together.candidates, torch.cat([left.candidates, right.candidates]))
        assert torch.equal(together.counts, torch.cat([left.counts, right.counts]))
    # A run that goes on sees what it would have seen.
    assert torch.equal(next(candidate_token_batches(made, 4, 3, 4)).hu, whole[1].hu)


def test_slices_smaller_than_a_crop_are_padded_with_air(tmp_path: Path) -> None:
    found = CandidateTokenCrops(built(tmp_path, [ramp(40, 90)]), None, 0.0, SIDE, choose, 0)
    hu = found[3].hu[0].numpy()
    assert hu.shape == (SIDE, SIDE)
    assert (hu[40:] == AIR).all()
    assert (hu[:40] > AIR).all()
    tiny = CandidateTokenCrops(built(tmp_path / "tiny", [ramp(5, 6)]), None, 0.0, SIDE, choose, 0)[0].hu[0].numpy()
    np.testing.assert_array_equal(tiny[:5, :6], ramp(5, 6))
    assert (tiny == AIR).sum() == SIDE**2 - 30


def test_crops_that_are_mostly_air_are_drawn_again(tmp_path: Path) -> None:
    image = np.full((64, 640), -1000.0, np.float32)
    image[:, 320:] = 40.0
    found = CandidateTokenCrops(built(tmp_path, [image]), None, 0.0, SIDE, choose, 0)
    empty = np.mean([float((found[n].hu < -500).float().mean()) >= 0.85 for n in range(150)])
    # Of the 577 places 267 are; three draws in a row are so once in ten.
    assert 0.03 < empty < 0.18


def test_whole_slices_as_they_are(tmp_path: Path) -> None:
    images = [ramp(64, 48), ramp(64, 48, 5000)]
    found = CandidateTokenCrops(built(tmp_path, images), None, 0.0, 0, choose, 0)
    seen = {int(found[n].hu[0, 0, 0]) for n in range(20)}
    assert seen == {0, 5000}
    batch = next(candidate_token_batches(found, 2, 0, 1))
    assert batch.hu.shape == (2, 1, 64, 48)


def test_patients_of_many_slices_are_drawn_less_often_for_each(tmp_path: Path) -> None:
    images = [np.full((SIDE, SIDE), n, np.float32) for n in range(10)]
    found = CandidateTokenCrops(built(tmp_path, images, [1] * 9 + [2]), None, 0.0, SIDE, choose, 0)
    drawn = Counter(int(found[n].hu[0, 0, 0]) for n in range(200))
    # Nine slices of the first patient weigh 1/3 each, the one of the second 1: a quarter of all.
    assert drawn[9] / 200 == pytest.approx(0.25, abs=0.08)
    assert min(drawn[n] for n in range(9)) > 5


def test_digital_patients_come_in_their_share_and_look_scanned(tmp_path: Path) -> None:
    seen: list[tuple[np.ndarray, np.ndarray, tuple[float, float]]] = []

    def note(hu: np.ndarray, classes: np.ndarray, pixel: tuple[float, float]) -> tuple[np.ndarray, ...]:
        seen.append((hu, classes, pixel))
        return choose(hu, classes, pixel)

    found = crops(tmp_path, share=0.3, choose=note)
    for n in range(40):
        assert (found[n].hu.shape, found[n].hu.dtype) == ((1, SIDE, SIDE), torch.float32)
    made = [one for one in seen if one[2] != (0.7, 0.7)]
    assert 5 <= len(made) <= 20
    for hu, classes, pixel in made:
        assert np.isfinite(hu).all()
        assert pixel[0] * len(classes) == pytest.approx(200.0)  # of a field of 150 to 250 mm
    liver = np.concatenate([hu[::2, ::2][classes == INDEX["liver"]] for hu, classes, _ in made])
    assert 50 < np.median(liver) < 150
    assert 3 < np.std(liver) < 80  # the toy's is 100 HU all over
    alone = crops(tmp_path, share=0.0)
    assert all(float(alone[n].hu.min()) >= 0 for n in range(10))
    every = crops(tmp_path / "two", share=0.01, real=None, side=32)[0]
    assert every.hu.shape == (1, 32, 32)


def of_quarters(classes: np.ndarray) -> list[list[np.ndarray]]:
    """One pool for the crop, and one for each quarter: the lowest class there, as a token; none for class 0."""
    half = len(classes) // 2
    quarters = [classes[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    return [
        [np.array([int(classes.max())])],
        [np.unique(quarter[quarter > 0])[:1].astype(np.int64) for quarter in quarters],
    ]


def test_pools_of_positions(tmp_path: Path) -> None:
    made = crops(tmp_path, choose_cells=of_quarters)
    batch = next(candidate_token_batches(made, 3, 0, 1))
    assert batch.positions.tolist() == [1, 4]
    assert batch.counts.shape == (3, 5)
    for number, per_layer in enumerate(batch.pools()):
        wanted = of_quarters((made[number].hu[0].numpy().astype(np.int64) % 7).astype(np.uint8))
        assert [len(layer) for layer in per_layer] == [1, 4]
        for layer, expected in zip(per_layer, wanted, strict=True):
            assert [pool.tolist() for pool in layer] == [pool.tolist() for pool in expected]


def test_two_realisations_of_one_noise(tmp_path: Path) -> None:
    made, plain = crops(tmp_path, noisy=True), crops(tmp_path)
    quiet, spreads, correlations = 0, [], []
    for number in range(60):
        item = made[number]
        assert item.noise.shape == (2, SIDE, SIDE)
        assert torch.equal(item.hu, plain[number].hu)
        if not bool(item.noise.any()):
            quiet += 1
            continue
        first, second = item.noise.flatten(1).double()
        spreads.append(float(first.std() / second.std()))
        correlations.append(float(torch.corrcoef(torch.stack([first, second]))[0, 1]))
        assert 1 < float(first.std()) < 200
    assert 4 < quiet < 22  # a fifth
    assert np.median(np.abs(np.log(spreads))) < 0.05  # one strength
    assert abs(np.mean(correlations)) < 0.05  # independent
    batch = next(candidate_token_batches(made, 3, 0, 1))
    assert batch.noise.shape == (3, 2, SIDE, SIDE)
    assert next(candidate_token_batches(plain, 3, 0, 1)).noise.numel() == 0


def test_digital_crops_come_without_noise(tmp_path: Path) -> None:
    noisy, clean = crops(tmp_path, share=1.0), crops(tmp_path, share=1.0, noisy=True)
    # Neighbouring pixels of noise differ; those of tissue hardly do.
    rough = [float(made[0].hu.diff(dim=-1).abs().median()) for made in (noisy, clean)]
    assert rough[1] < 0.3 * rough[0]


def test_shares_of_the_classes_in_each_cell(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).integers(0, 50, (96, 48)).astype(np.uint8)
    shares = class_shares(classes, 4)
    assert shares.shape == (50, 4, 4)
    np.testing.assert_allclose(shares.sum(0), 1.0, rtol=1e-6)
    cell = classes[24:48, 36:48]
    np.testing.assert_allclose(shares[:, 1, 3], np.bincount(cell.ravel(), minlength=50) / cell.size, rtol=1e-6)
    batch = next(candidate_token_batches(crops(tmp_path, cells=4), 3, 0, 1))
    assert batch.organs.shape == (3, 50, 4, 4)
    assert next(candidate_token_batches(crops(tmp_path), 3, 0, 1)).organs.numel() == 0
