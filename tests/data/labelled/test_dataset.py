"""Labelled slices as a training sees them: by seed and number alone, labels on the image, unknown where unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from lowdose.anatomical_labels import LABELS
from lowdose.batch import UNKNOWN
from lowdose.data.batches import batches
from lowdose.data.labelled import dataset
from lowdose.data.labelled.dataset import LabelledDataset, LabelledSlice
from lowdose.data.labelled.phantoms import PIXEL_MM
from lowdose.data.transforms.intensity import RandomIntensity
from lowdose.data.transforms.spatial import RandomElasticAffine
from lowdose.image import AIR
from lowdose.organ_classes import CLASSES, INDEX

LIVER, SPLEEN, OUTSIDE = INDEX["liver"], INDEX["spleen"], INDEX["outside"]
STILL = RandomElasticAffine((120.0, 120.0), turn=0.0, stretch=0.0, reach=(0.0, 0.0), odd=0.0)
PLAIN = RandomIntensity((1e-3,), (1.0, 1.0), shading_hu=0.0, noise_hu=(1e-3, 1e-3), streaks=0.0, oral=0.0)
SIZE = 64


def disc(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) < 0.3 * size


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but air around the bodies."""
    monkeypatch.setattr(dataset, "randomise_background", lambda hu, *_: hu)


class Bodies:
    """Stands in for ``PhantomDataset``: a disc of liver in air; the HU say which it is."""

    def __init__(self, count: int = 6) -> None:
        self.count = count

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.count))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        inside = disc(120)
        hu = np.where(inside, 20 * index, -1000).astype(np.int16)
        hu.flags.writeable = False
        return hu, np.where(inside, LABELS["liver"], 0).astype(np.uint8)


def real(patient: int = 1, hu: int = 500, size: int = 60, pixel_mm: float = 2.0) -> LabelledSlice:
    """A disc of spleen, nothing else annotated."""
    annotated = np.zeros(len(CLASSES), bool)
    annotated[SPLEEN] = True
    inside = disc(size)
    classes = np.where(inside, SPLEEN, UNKNOWN).astype(np.uint8)
    return LabelledSlice(patient, np.where(inside, hu, 0).astype(np.int16), classes, annotated, (pixel_mm, pixel_mm))


def views(
    slices: Sequence[LabelledSlice] = (), share: float = 0.5, seed: int = 0, spatial: RandomElasticAffine = STILL,
    intensity: RandomIntensity = PLAIN,
) -> LabelledDataset:  # fmt: skip
    return LabelledDataset(Bodies(), list(slices), share, SIZE, spatial, intensity, seed)  # type: ignore[arg-type]


def test_an_item_depends_on_seed_and_number_only() -> None:
    one, again, other = (
        views([real()], seed=seed, spatial=RandomElasticAffine(), intensity=RandomIntensity()) for seed in (1, 1, 2)
    )
    backwards = {index: again[index] for index in reversed(range(8))}
    for index in range(8):
        assert all(torch.equal(a, b) for a, b in zip(one[index], backwards[index], strict=True))
        assert not torch.equal(one[index][0], other[index][0])
        assert not torch.equal(one[index][0], one[index + 1][0])


def test_shapes_types_and_units() -> None:
    for index in range(6):
        hu, classes, annotated = views([real()])[index]
        assert (hu.shape, hu.dtype) == ((1, SIZE, SIZE), torch.float32)
        assert (classes.shape, classes.dtype) == ((SIZE // 2, SIZE // 2), torch.int64)
        assert (annotated.shape, annotated.dtype) == ((len(CLASSES),), torch.bool)
        assert -1024 <= hu.min() < hu.max() <= 3071


@pytest.mark.usefixtures("bare")
def test_digital_slices_are_annotated_everywhere_even_beyond_their_border() -> None:
    wide = replace(STILL, field_mm=(400.0, 400.0))
    for index in range(6):
        hu, classes, annotated = views(spatial=wide)[index]
        assert annotated.all()
        assert set(classes.unique().tolist()) == {OUTSIDE, LIVER}
        assert hu[0, 0, 0] == pytest.approx(AIR, abs=1)


def test_real_slices_know_what_was_looked_for_and_nothing_else() -> None:
    wide = replace(STILL, field_mm=(400.0, 400.0))
    for index in range(6):
        hu, classes, annotated = views([real()], share=1.0, spatial=wide)[index]
        assert annotated.nonzero().ravel().tolist() == [SPLEEN]
        assert set(classes.unique().tolist()) == {SPLEEN, UNKNOWN}
        assert classes[0, 0] == UNKNOWN  # beyond the image
        assert hu[0, 0, 0] == pytest.approx(AIR, abs=1)


def test_beyond_the_image_it_is_outside_where_that_was_looked_for() -> None:
    known = real()
    annotated = known.annotated.copy()
    annotated[OUTSIDE] = True
    wide = replace(STILL, field_mm=(400.0, 400.0))
    _, classes, _ = views([replace(known, annotated=annotated)], share=1.0, spatial=wide)[0]
    assert classes[0, 0] == OUTSIDE
    assert UNKNOWN in classes  # inside the image, around the disc
    assert SPLEEN in classes


def test_the_share_of_real_slices() -> None:
    for share, count in ((0.0, 10), (0.3, 100), (1.0, 10)):
        from_real = [not views([real()], share=share)[index][2].all() for index in range(count)]
        assert np.mean(from_real) == pytest.approx(share, abs=0.14 * (0 < share < 1))
    assert views([], share=1.0)[0][2].all()


def level(some: LabelledDataset, index: int) -> float:
    """HU of the disc in an item, to the next ten."""
    hu, classes, _ = some[index]
    return round(float(hu[0, ::2, ::2][(classes == LIVER) | (classes == SPLEEN)].median()), -1)


def test_every_slice_is_drawn() -> None:
    assert {level(views(), index) for index in range(60)} == {0, 20, 40, 60, 80, 100}
    slices = [real(hu=hu) for hu in (300, 600, 900)]
    assert {level(views(slices, 1.0), index) for index in range(30)} == {300, 600, 900}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("spatial", [STILL, RandomElasticAffine((110.0, 200.0), odd=0.5)], ids=["still", "bent"])
def test_labels_lie_on_the_image(share: float, spatial: RandomElasticAffine) -> None:
    wanted = {0.0: (LIVER, -500.0), 1.0: (SPLEEN, 250.0)}[share]
    some = views([real()], share, spatial=spatial)
    for index in range(30):
        hu, classes, _ = some[index]
        seen = hu.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(dim=(1, 3)) > wanted[1]
        named = classes == wanted[0]
        assert 2 * float((seen & named).sum() / (seen.sum() + named.sum())) > 0.93
        for axis in (0, 1):
            places = [part.nonzero()[:, axis].float().mean() for part in (seen, named)]
            assert abs(float(places[0] - places[1])) < 0.35


def test_only_digital_tissue_gets_other_hu() -> None:
    loud = replace(PLAIN, tissue_hu=(300.0,))
    assert {level(views([real()], 1.0, intensity=loud), index) for index in range(10)} == {500}
    assert len({level(views(intensity=loud), index) for index in range(15)}) > 8


def test_only_digital_patients_get_other_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    def filled(hu: np.ndarray, classes: np.ndarray, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
        assert pixel_mm == PIXEL_MM
        return np.where(classes == OUTSIDE, np.float32(2000), hu)

    monkeypatch.setattr(dataset, "randomise_background", filled)
    hu, classes, _ = views()[0]
    assert hu[0, ::2, ::2][classes == OUTSIDE].median() == pytest.approx(2000, abs=1)
    assert hu[0, ::2, ::2][classes == LIVER].median() < 200
    assert views([real()], 1.0)[0][0].max() < 1000


def test_nothing_that_is_kept_is_changed() -> None:
    kept = real()
    before = (kept.hu.copy(), kept.classes.copy(), kept.annotated.copy())
    for index in range(5):
        views([kept], 1.0, spatial=RandomElasticAffine(), intensity=RandomIntensity())[index]
    for now, then in zip((kept.hu, kept.classes, kept.annotated), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_processes_and_workers_see_what_one_process_sees() -> None:
    some = views([real()])
    whole = list(batches(some, 4, 2, 5))
    assert [batch.hu.shape for batch in whole] == [(4, 1, SIZE, SIZE)] * 3
    parts = [list(batches(some, 2, 2, 5, rank, 2)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        for name in ("hu", "classes", "annotated"):
            joined = torch.cat([getattr(part[step], name) for part in parts])
            assert torch.equal(getattr(batch, name), joined)
    resumed = list(batches(some, 4, 4, 5, workers=1))
    assert torch.equal(resumed[0].hu, whole[2].hu)
    assert not list(batches(some, 4, 5, 5))
