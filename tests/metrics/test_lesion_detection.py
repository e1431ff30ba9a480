"""Average precision against COCO's own tool, and the free-response curve in closed form."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch
from lowdose.metrics.lesion_detection import average_precision, free_response, join_outcomes, match_detections

Boxes = list[NDArray[np.float64]]


def scene(seed: int, slices: int = 6) -> tuple[Boxes, list[NDArray[np.float64]], Boxes]:
    """Return lesions, detections near some of them and elsewhere, and the scores of these."""
    rng = np.random.default_rng(seed)
    boxes, scores, lesions = [], [], []
    for _ in range(slices):
        corner = rng.uniform(0, 80, (rng.integers(0, 4), 2))
        true = np.hstack([corner, corner + rng.uniform(5, 20, corner.shape)])
        moved = np.repeat(true, 2, axis=0)[: rng.integers(0, 2 * len(true) + 1)]
        moved = moved + rng.normal(0, 1.5, moved.shape)
        corner = rng.uniform(0, 80, (rng.integers(0, 3), 2))
        found = np.vstack([moved, np.hstack([corner, corner + rng.uniform(5, 20, corner.shape)])])
        lesions.append(true)
        boxes.append(found)
        scores.append(rng.permutation(len(found)) / 16 + rng.uniform(0, 1 / 32))
    return boxes, scores, lesions


def coco_average_precision(boxes: Boxes, scores: list[NDArray[np.float64]], lesions: Boxes, overlap: float) -> float:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def entries(per_slice: Boxes) -> list[dict[str, object]]:
        flat = [(image, box) for image, of_slice in enumerate(per_slice) for box in of_slice]
        sizes = [(image, left, top, right - left, bottom - top) for image, (top, left, bottom, right) in flat]
        return [
            {"id": number + 1, "image_id": image, "category_id": 1, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            for number, (image, x, y, w, h) in enumerate(sizes)
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        true = coco.COCO()
        images = [{"id": number} for number in range(len(lesions))]
        true.dataset = {"images": images, "categories": [{"id": 1}], "annotations": entries(lesions), "info": {}}
        true.createIndex()
        found = [entry | {"score": score} for entry, score in zip(entries(boxes), np.concatenate(scores), strict=True)]
        evaluation = cocoeval.COCOeval(true, true.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array([overlap])
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, 0, 0, -1]
    return float(precision.mean())


@pytest.mark.parametrize("overlap", [0.5, 0.75])
def test_average_precision_is_that_of_coco(overlap: float) -> None:
    for seed in range(12):
        boxes, scores, lesions = scene(seed)
        if not sum(map(len, boxes)) or not sum(map(len, lesions)):
            continue
        ours = average_precision(match_detections(boxes, scores, lesions, overlap))
        assert ours == pytest.approx(coco_average_precision(boxes, scores, lesions, overlap), abs=1e-9), seed


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_a_stricter_overlap_finds_no_more(seed: int) -> None:
    boxes, scores, lesions = scene(seed)
    loose, strict = (average_precision(match_detections(boxes, scores, lesions, each)) for each in (0.5, 0.75))
    assert np.isnan(loose) or 0 <= strict <= loose <= 1


def test_perfect_and_empty_detections() -> None:
    _, _, lesions = scene(1)
    perfect = match_detections(lesions, [np.ones(len(each)) for each in lesions], lesions)
    assert average_precision(perfect) == 1
    assert free_response(perfect, [0]).tolist() == [1]
    nothing = match_detections([[] for _ in lesions], [[] for _ in lesions], lesions)
    assert average_precision(nothing) == 0
    assert free_response(nothing, [0, 5]).tolist() == [0, 0]
    none = match_detections([[]], [[]], [[]])
    assert np.isnan(average_precision(none))
    assert np.isnan(free_response(none, [1])).all()


def test_one_of_two_lesions_after_a_false_detection() -> None:
    """Precision is 1/2 up to a recall of 1/2 and 0 above; half a false detection a slice gives half of the lesions."""
    boxes = [[[50, 50, 60, 60]], [[0, 0, 10, 10]]]
    outcome = match_detections(boxes, [[0.9], [0.8]], [[[0, 0, 10, 10]], [[0, 0, 10, 10]]])
    assert average_precision(outcome) == pytest.approx(0.5 * 51 / 101)
    assert free_response(outcome, [0, 0.5, 2]).tolist() == [0, 0.5, 0.5]
    assert [each.tolist() for each in outcome.found_at] == [[-np.inf], [0.8]]


def test_a_second_detection_of_a_lesion_is_a_false_one() -> None:
    outcome = match_detections([[[0, 0, 10, 10], [0, 0, 10, 9]]], [[0.5, 0.9]], [[[0, 0, 10, 10]]])
    assert outcome.hits.tolist() == [True, False]
    assert outcome.found_at[0].tolist() == [0.9]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(GeometryMismatch, match="1 boxes and 2 scores in a slice"):
        match_detections([[[0, 0, 1, 1]]], [[0.1, 0.2]], [[]])
    with pytest.raises(GeometryMismatch, match="1 slices of boxes, 1 of scores and 2 of lesions"):
        match_detections([[]], [[]], [[], []])


@given(st.integers(0, 1000))
@settings(max_examples=15)
def test_outcomes_of_single_slices_join_to_those_of_all(seed: int) -> None:
    boxes, scores, lesions = scene(seed)
    whole = match_detections(boxes, scores, lesions)
    joined = join_outcomes(
        [match_detections(*([each] for each in slice_)) for slice_ in zip(boxes, scores, lesions, strict=True)]
    )
    assert np.array_equal(joined.scores, whole.scores)
    assert np.array_equal(joined.hits, whole.hits)
    assert all(np.array_equal(*pair) for pair in zip(joined.found_at, whole.found_at, strict=True))
    assert average_precision(join_outcomes([whole, whole])) == pytest.approx(average_precision(whole), abs=0.02)
