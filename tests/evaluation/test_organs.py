"""Dice, HD95, volume and HU per organ against numbers counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lowdose.anatomical_labels import LABELS
from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.organ_statistics import OrganRow
from lowdose.evaluation.organs import OrganEvaluation, evaluate_organs
from lowdose.io.label_map import open_labels, write_labels
from lowdose.models.load import LoadedModel
from lowdose.networks import segmentation
from lowdose.organ_classes import INDEX
from support.evaluation_cases import GEOMETRY, LIVER, SPLEEN, Series, artist, by_threshold, case


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "segment_slice", by_threshold)


def bodies() -> tuple[np.ndarray, np.ndarray]:
    """(low, full), 3 slices of 12 x 12: a liver of 4 x 6 pixels, moved by one column in the low dose of slice 1."""
    full = np.full((3, 12, 12), -1000.0)
    full[:, 2:10, 2:10] = 0.0
    low = full.copy()
    full[:2, 3:7, 2:8] = 100.0
    low[0, 3:7, 2:8] = 104.0
    low[1, 3:7, 3:9] = 90.0
    return low, full


def model(change: Any, name: str = "better") -> LoadedModel:
    denoiser = SimpleNamespace(denoise=lambda hu: torch.from_numpy(change(hu.numpy())), context=0, noise_free=False)
    return LoadedModel(name, "a" * 64, denoiser, None, torch.device("cpu"))  # type: ignore[arg-type]


def run(*cases: Any, models: Any = (), given: Any = (), strength: float = 1.0) -> OrganEvaluation:
    return evaluate_organs(list(cases), list(models), artist(), strength, lambda done: None, given)


def row(result: OrganEvaluation, image: str, organ: str, name: str = "series 1") -> OrganRow:
    return next(r for r in result.rows if (r.image, r.organ, r.case) == (image, organ, name))


def test_dice_volume_and_hu_of_one_organ() -> None:
    low, full = bodies()
    result = run(case(Series(low), Series(full)), models=[model(lambda hu: np.where(hu == 90, 0, hu))])
    found = row(result, LOW, "liver")
    assert found.dice == pytest.approx(2 * (24 + 20) / (48 + 48))
    assert found.volume_ml == found.reference_ml == pytest.approx(48 * 0.02)
    inside = [*[104] * 24, *[90] * 20, *[0] * 4]
    assert (found.mean_hu, found.sd_hu) == pytest.approx((np.mean(inside), np.std(inside)))
    # The model loses the liver of the second slice.
    assert row(result, "better", "liver").dice == pytest.approx(2 * 24 / (24 + 48))
    assert row(result, "better", "liver").volume_ml == pytest.approx(0.48)
    whole = row(result, FULL, "liver")
    assert np.isnan(whole.dice)  # it is the reference
    assert (whole.mean_hu, whole.sd_hu) == pytest.approx((100.0, 0.0))
    assert {r.organ for r in result.rows} == {"liver"}  # neither body nor outside
    assert result.organs_compared() == ["liver"]
    assert result.change("better", "liver").mean == pytest.approx(48 / 72 - 88 / 96)
    assert result.change(LOW, "liver", FULL, "mean_hu").mean == pytest.approx(np.mean(inside) - 100)


def test_strength_blends_the_model() -> None:
    low, full = bodies()
    gone = model(lambda hu: np.full_like(hu, -1000))
    half = run(case(Series(low), Series(full)), models=[gone], strength=0.0)
    assert row(half, "better", "liver").dice == row(half, LOW, "liver").dice


def test_a_model_with_context_sees_the_neighbours_of_the_low_dose_slice() -> None:
    low, full = np.full((3, 12, 12), -1000.0), np.full((3, 12, 12), -1000.0)
    low[1, 3:7, 2:8] = full[:, 3:7, 2:8] = 100.0  # the low dose shows the liver in the middle slice only
    brightest = SimpleNamespace(denoise=lambda hu: hu.amax(1, keepdim=True), context=1, noise_free=False)
    ready = LoadedModel("brightest", "", brightest, None, torch.device("cpu"))  # type: ignore[arg-type]
    low_dose = Series(low)
    result = run(case(low_dose, Series(full)), models=[ready])
    assert row(result, LOW, "liver").dice == pytest.approx(2 * 24 / (24 + 72))
    assert row(result, "brightest", "liver").dice == 1.0
    assert low_dose.reads == [0, 1, 2]


def test_lost_and_invented_organs_and_specks() -> None:
    full = np.full((1, 20, 20), 0.0)
    low = full.copy()
    full[0, :4, :4] = 100.0  # lost
    low[0, 10:14, 10:14] = 200.0  # invented
    result = run(case(Series(low), Series(full)))
    assert row(result, LOW, "liver").dice == 0.0
    assert np.isnan(row(result, LOW, "spleen").dice)
    assert row(result, LOW, "spleen").volume_ml == pytest.approx(16 * 0.02)
    assert np.isnan(row(result, LOW, "spleen").mean_hu)
    full[0, :4, :4] = 0.0
    full[0, 0, :2] = low[0, 0, 1:3] = 100.0  # 2 pixels of 0.02 ml: less than a speck
    result = run(case(Series(low), Series(full)))
    assert np.isnan(row(result, LOW, "liver").dice)
    assert result.organs_compared() == []


def test_padding_is_air_and_not_measured() -> None:
    low, full = bodies()
    valid = np.ones(low.shape, bool)
    valid[:, 3:5] = False  # half of the liver
    low[~valid] = -2000.0
    padded = row(run(case(Series(low, valid=valid), Series(full))), LOW, "liver")
    assert padded.reference_ml == pytest.approx(24 * 0.02)
    assert padded.mean_hu == pytest.approx(np.mean([*[104] * 12, *[90] * 10, *[0] * 2]))


def test_where_slices_have_no_grid_their_thickness_counts() -> None:
    low, full = bodies()
    sources = Series(low, None), Series(full, None)
    for source in sources:
        source.planes = [SimpleNamespace(position=None, pixel_mm=(2.0, 2.0))] * 3
    assert row(run(case(*sources)), LOW, "liver").reference_ml == pytest.approx(48 * 4 * 4 / 1000)
    for source in sources:
        source.planes = [SimpleNamespace(position=None, pixel_mm=None)] * 3
    unknown = row(run(case(*sources)), LOW, "liver")
    assert np.isnan(unknown.volume_ml)
    assert unknown.dice == pytest.approx(88 / 96)


def test_slices_of_a_tilted_stack_are_as_far_apart_as_they_are() -> None:
    low, full = bodies()
    along = (0.0, 0.6, 0.8)  # 5 mm along the stack, 4 mm from slice to slice
    tilted = replace(GEOMETRY, direction=(along, *GEOMETRY.direction[1:]))
    assert row(run(case(Series(low, tilted), Series(full, tilted))), LOW, "liver").volume_ml == pytest.approx(0.768)


def label_map(folder: Path, values: np.ndarray, name: str = "labels") -> Any:
    write_labels(values.astype(np.uint8), GEOMETRY, folder / f"{name}.nii.gz")
    return open_labels(folder / f"{name}.nii.gz", folder)


def test_given_labels_judge_full_dose_too_and_only_what_they_hold(tmp_path: Path) -> None:
    low, full = bodies()
    full[:, 8, 8] = low[:, 8, 8] = 200.0  # a spleen that is not annotated
    truth = np.zeros(full.shape)
    truth[0, 3:7, 2:8] = LABELS["liver"]
    result = run(case(Series(low), Series(full)), given=[label_map(tmp_path, truth)])
    assert result.given
    assert row(result, FULL, "liver").dice == pytest.approx(2 * 24 / (24 + 48))
    assert row(result, LOW, "liver").reference_ml == pytest.approx(24 * 0.02)
    assert row(result, LOW, "liver").mean_hu == pytest.approx(104)
    assert {r.organ for r in result.rows} == {"liver"}
    assert result.samples[0].reference is not None


def test_padding_inside_given_labels_is_not_measured(tmp_path: Path) -> None:
    low, full = bodies()
    valid = np.ones(low.shape, bool)
    valid[:, 3:5] = False
    truth = np.zeros(full.shape)
    truth[0, 3:7, 2:8] = LABELS["liver"]
    result = run(case(Series(low, valid=valid), Series(full)), given=[label_map(tmp_path, truth)])
    found = row(result, LOW, "liver")
    assert (found.mean_hu, found.sd_hu) == pytest.approx((104, 0))
    assert found.reference_ml == pytest.approx(24 * 0.02)  # the organ is there all the same


def test_what_one_label_map_holds_is_judged_in_every_case(tmp_path: Path) -> None:
    """A spleen drawn where the annotated scan has none is no Dice, but stands there with its volume."""
    low, full = bodies()
    low[:, 8:10, 2:6] = 200.0
    first, second = np.zeros(full.shape), np.zeros(full.shape)
    first[:2, 3:7, 2:8] = second[:2, 3:7, 2:8] = LABELS["liver"]
    second[2, 3:7, 2:8] = LABELS["spleen"]
    cases = [case(Series(low), Series(full), f"series {n}", n) for n in (1, 2)]
    maps = [label_map(tmp_path, values, str(n)) for n, values in enumerate((first, second))]
    result = run(*cases, given=maps)
    invented = row(result, LOW, "spleen", "series 1")
    assert np.isnan(invented.dice)
    assert invented.volume_ml > 0.05
    assert result.organs_compared() == ["spleen", "liver"]


def test_sides_are_one_organ_and_what_is_no_organ_is_refused(tmp_path: Path) -> None:
    low, full = bodies()
    truth = np.zeros(full.shape)
    truth[0, 3, 3], truth[0, 3, 4] = LABELS["kidney_left"], LABELS["kidney_right"]
    kidney = row(run(case(Series(low), Series(full)), given=[label_map(tmp_path, truth)]), LOW, "kidney")
    assert kidney.reference_ml == pytest.approx(0.04)
    fat = np.full(full.shape, LABELS["torso_fat"])
    with pytest.raises(InvalidSetting, match=r"fat\.nii\.gz"):
        run(case(Series(low), Series(full)), given=[label_map(tmp_path, fat, "fat")])


def test_labels_elsewhere_are_refused_before_any_slice_is_read(tmp_path: Path) -> None:
    low, full = bodies()
    series = Series(full)
    truth = np.full((2, 12, 12), LABELS["liver"])
    with pytest.raises(GeometryMismatch, match="full"):
        run(case(Series(low), series), given=[label_map(tmp_path, truth)])
    assert series.reads == []


def test_a_labelled_series_alone(tmp_path: Path) -> None:
    _, full = bodies()
    series = Series(full)
    truth = np.zeros(full.shape)
    truth[:2, 3:7, 3:9] = LABELS["liver"]
    result = run(case(series, series), given=[label_map(tmp_path, truth)])
    assert result.images == [FULL]
    assert row(result, FULL, "liver").dice == pytest.approx(2 * 40 / 96)
    assert series.reads == [0, 1, 2]


def test_nothing_but_the_slice_at_hand_is_read_ahead() -> None:
    low, full = bodies()
    series = Series(full)
    seen = []
    evaluate_organs([case(Series(low), series)], [], artist(), 1.0, lambda done: seen.append((done, len(series.reads))))
    assert seen == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]


def test_the_slice_with_most_organs_is_shown() -> None:
    low, full = bodies()
    full[1, 8, 3:6] = 200.0
    (sample,) = run(case(Series(low), Series(full))).samples
    assert sample.position == pytest.approx(35.0)
    assert set(np.unique(sample.labels[FULL])) == {INDEX["outside"], INDEX["body"], LIVER, SPLEEN}
    assert sample.reference is None
    np.testing.assert_array_equal(sample.images[LOW], low[1])


def judgement(values: dict[str, list[dict[str, float]]]) -> OrganEvaluation:
    """image -> of each case {organ: Dice}; case n is of patient n."""
    result = OrganEvaluation("thresholds", "", False, 1.0, "cpu", list(values), {}, {1: "a", 2: "b"})
    for image, cases in values.items():
        for number, organs in enumerate(cases):
            result.rows += [
                OrganRow(f"case {number}", number, image, organ, value, 10 * value, 1.0, 1.0, 0.0, 1.0)
                for organ, value in organs.items()
            ]
    return result


def test_means_are_over_cases_of_what_could_be_judged() -> None:
    nan = np.nan
    result = judgement({LOW: [{"a": 0.5, "b": 0.7}, {"a": 0.6, "b": nan}], "net": [{"a": 0.7}, {"a": 0.7, "b": 0.0}]})
    assert result.summary(LOW, "a").mean == pytest.approx(0.55)
    assert result.summary(LOW, "b").n_slices == 1
    assert result.summary(LOW, None).mean == pytest.approx((0.6 + 0.6) / 2)  # of each case's mean over its organs
    assert result.summary("net", None).mean == pytest.approx((0.7 + 0.35) / 2)
    change = result.change("net", "a")
    assert change.mean == pytest.approx(0.15)
    assert change.interval == pytest.approx((0.1, 0.2))
    assert result.change("net", "b") is None  # never judged in both
    assert result.change("net", None).mean == pytest.approx(0.15)
    assert result.summary("net", "c") is None
    assert result.summary("net", None, "hd95_mm").mean == pytest.approx((7 + 3.5) / 2)
    assert result.change("net", "a", what="hd95_mm").mean == pytest.approx(1.5)


def test_a_paired_interval_sees_what_two_intervals_do_not() -> None:
    """Cases differ far more than images do: the change is certain all the same."""
    low = [{"a": value} for value in (0.2, 0.4, 0.6, 0.8, 0.9)]
    better = [{"a": case["a"] + gain} for case, gain in zip(low, (0.02, 0.03, 0.02, 0.04, 0.03), strict=True)]
    result = judgement({LOW: low, "net": better})
    change = result.change("net", "a")
    assert change.interval[0] > 0.015
    assert change.interval_of == "patients"
    assert result.summary("net", "a").interval[0] < result.summary(LOW, "a").interval[1]
