"""Lesions in pairs: the identity is low dose, what removes a lesion keeps no contrast, what sees it has AP 1."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.evaluation import lesions as evaluation
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.lesion_table import LesionEvaluation
from lowdose.evaluation.lesions import LesionSettings, evaluate_lesions
from lowdose.image import Geometry
from lowdose.models.load import LoadedModel
from lowdose.networks import segmentation
from support.evaluation_cases import Series, by_threshold, case
from support.lesion_detectors import Told

LIVER_HU, SIDE = 100.0, 60
GEOMETRY = Geometry((3.0, 1.0, 1.0))


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Organs by HU, and one lesion in each, so that tests take no time."""
    monkeypatch.setattr(segmentation, "segment_slice", by_threshold)
    monkeypatch.setattr("lowdose.evaluation.inserted_lesions.EACH", 1)
    monkeypatch.setattr("lowdose.evaluation.lesion_detection.RESAMPLES", 50)


def pair(slices: int = 2, seed: int = 0, noise: float = 3.0) -> Any:
    """A liver of 48 mm in 60 mm of body, at two doses."""
    clean = np.zeros((slices, SIDE, SIDE))
    clean[:, 6:54, 6:54] = LIVER_HU
    rng = np.random.default_rng(seed)
    full = clean + noise * rng.standard_normal(clean.shape)
    return Series(clean + 2 * noise * rng.standard_normal(clean.shape), GEOMETRY), Series(full, GEOMETRY)


def model(change: Any, name: str, context: int = 0) -> LoadedModel:
    denoiser = SimpleNamespace(
        denoise=lambda hu: change(hu[:, context : context + 1]), context=context, noise_free=False
    )
    return LoadedModel(name, "a" * 64, denoiser, None, torch.device("cpu"))  # type: ignore[arg-type]


IDENTITY = model(lambda hu: hu, "identity")
REMOVED = model(lambda hu: torch.where(hu > 8, LIVER_HU, 0.0), "removed")  # the liver without anything in it
HALVED = model(lambda hu: 50 + 0.5 * hu, "halved")


def darker_than_liver(hu: np.ndarray) -> np.ndarray:
    """Mark what is inserted into a noise-free liver."""
    marked = np.zeros(hu.shape, bool)
    marked[7:53, 7:53] = hu[7:53, 7:53] < LIVER_HU - 8
    return marked


def run(*cases: Any, models: Any = (), **settings: Any) -> LesionEvaluation:
    return evaluate_lesions(
        list(cases), list(models), LesionSettings(SimpleNamespace(), **settings), 1.0, lambda done: None
    )  # type: ignore[arg-type]


def test_identity_is_low_dose_and_what_removes_lesions_keeps_no_contrast() -> None:
    found = run(case(*pair()), models=[IDENTITY, REMOVED, HALVED])
    assert found.images == [LOW, "identity", "removed", "halved", FULL]
    of_low, of_identity = (found.of_image(name) for name in (LOW, "identity"))
    assert [row.values for row in of_low] == [row.values for row in of_identity]
    kept = {name: found.summary(name, "contrast_kept") for name in found.images}
    assert kept[LOW].mean == pytest.approx(1.0) == kept[FULL].mean  # type: ignore[union-attr]
    assert kept["removed"].mean == 0.0  # type: ignore[union-attr]
    assert kept["halved"].mean == pytest.approx(0.5, abs=1e-5)  # type: ignore[union-attr]
    change = found.change("identity", "roi_psnr", LOW)
    assert change is not None
    assert (change.mean, change.interval) == (0.0, (0.0, 0.0))


def test_rows_hold_every_lesion_in_every_image_and_full_dose_is_compared_with_nothing() -> None:
    found = run(case(*pair()), draws=2)
    lesions = {(row.view, row.number) for row in found.rows}
    assert len(found.rows) == 2 * len(lesions)
    assert {row.view for row in found.rows} == set(range(4))
    full, low = found.of_image(FULL)[0], found.of_image(LOW)[0]
    assert set(low.values) - set(full.values) == {"rmse", "psnr", "ssim", "roi_rmse", "roi_psnr", "roi_ssim"}
    assert low.values["rmse"] == pytest.approx(3 * np.sqrt(5), rel=0.05)
    assert low.values["roi_rmse"] == pytest.approx(3 * np.sqrt(5), rel=0.25)
    assert found.change(LOW, "energy").mean < 0  # type: ignore[union-attr]  # more noise, more pairs of grey values
    assert np.isnan(low.score)
    assert found.figures is None


def test_the_same_seed_gives_the_same_lesions_whatever_else_is_measured() -> None:
    boxes = [row.lesion.box for row in run(case(*pair(1))).of_image(FULL)]
    more = run(case(*pair(1)), case(*pair(1, seed=5)), models=[IDENTITY], draws=2)
    assert [row.lesion.box for row in more.of_image(FULL) if row.view == 0] == boxes
    assert len({row.lesion.box for row in more.of_image(FULL)}) == 4
    assert boxes != [row.lesion.box for row in run(case(*pair(1)), seed=1).of_image(FULL)]


def test_a_perfect_detector_has_an_average_precision_of_one_until_the_lesion_is_gone() -> None:
    found = run(
        case(*pair(3, noise=0.0)), models=[IDENTITY, REMOVED], detector=Told(darker_than_liver), checksum="d" * 64
    )
    assert found.figures is not None
    ap50 = {name: values["ap50"].value for name, values in found.figures.values.items()}
    assert ap50 == {LOW: 1.0, "identity": 1.0, "removed": 0.0, FULL: 1.0}
    assert found.figures.changes["removed"]["ap50"] == (-1.0, -1.0, -1.0)
    assert {row.score for row in found.of_image("removed")} == {-np.inf}
    assert {row.score for row in found.of_image(FULL)} == {float(np.float32(0.9))}
    assert found.threshold(FULL, 0.5) == pytest.approx(0.9)


def test_neighbours_hold_the_lesions_too() -> None:
    """A model that returns the slice before keeps what the ball adds there; the first slice is its own."""
    before = model(lambda hu: hu, "before", context=1)
    before.denoiser.denoise = lambda hu: hu[:, :1]  # type: ignore[method-assign,assignment]
    found = run(case(*pair(3)), models=[before])
    kept = {row.slice_: row.values["contrast_kept"] for row in found.of_image("before")}
    assert kept[0] == pytest.approx(1.0, abs=1e-5)
    assert 0.3 < kept[1] < 1.0


def test_a_sample_of_the_lesions_is_kept_for_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MOST_SAMPLES", 2)
    found = run(case(*pair(3)))
    assert len(found.samples) == 2
    for sample in found.samples:
        row = next(each for each in found.rows if (each.view, each.number) == (sample.view, sample.number))
        middle = (
            (row.lesion.box[0] + row.lesion.box[2]) / 2 - sample.corner[0],
            (row.lesion.box[1] + row.lesion.box[3]) / 2 - sample.corner[1],
        )
        assert all(0 <= at < side for at, side in zip(middle, sample.images[FULL].shape, strict=True))


def test_slices_without_room_or_without_a_pixel_size_are_refused() -> None:
    air = Series(np.full((1, 32, 32), -1000.0), GEOMETRY)
    with pytest.raises(NothingToRead, match="none shows liver or kidney or lung"):
        run(case(air, air))
    low, full = (Series(series.hu, None) for series in pair(1))
    with pytest.raises(InvalidSetting, match="--pixel"):
        run(case(low, full))
