"""The lesions' page and tables: what is counted as found, what is left blank, which lesions are shown."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from lowdose.evaluation import lesion_detection
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.lesion_detection import detection_figures, match_slice
from lowdose.evaluation.lesion_marks import Lesion
from lowdose.evaluation.lesion_table import LesionEvaluation, LesionRow, LesionSample
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.report import lesion_evaluation, lesion_figures, lesion_tables

BOX = (10.0, 12.0, 20.0, 22.0)
VIEWS = 4


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bootstrap with few samples, which takes no time; intervals are tested elsewhere."""
    monkeypatch.setattr(lesion_detection, "RESAMPLES", 20)


def judgement(detector: bool = True) -> LesionEvaluation:
    """One lesion a slice: found at full dose in all four slices, after 'net' in three, at low dose in two."""
    seen = {LOW: 2, "net": 3, FULL: 4}
    result = LesionEvaluation(list(seen), {"net": "a" * 64}, "d" * 64 if detector else "", False, 1, 7, 0.5, "cpu")
    for view in range(VIEWS):
        lesion = Lesion("liver", "metastasis", 9.0 + 2 * view, -40.0, BOX, SOFT_TISSUE)
        crops = {image: np.full((40, 40), 60.0, np.float32) for image in seen}
        result.samples.append(LesionSample(view, 0, (4, 4), 1.0, crops))
        for image, count in seen.items():
            values = {"contrast_kept": {LOW: 1.0, "net": 0.75, FULL: 1.0}[image], "energy": {LOW: 0.1}.get(image, 0.2)}
            values |= {"correlation": 0.5, "homogeneity": 0.5}
            values |= {} if image == FULL else {"roi_psnr": np.inf if view == 0 else 30.0, "psnr": 31.0 + view}
            score = (0.9 if view < count else -np.inf) if detector else np.nan
            result.rows.append(LesionRow("case <1>", 1, view, 12.5 * view, view, 0, image, lesion, score, values))
            if detector:
                boxes = [BOX] if view < count else []
                result.detections.setdefault(image, []).append(match_slice(boxes, [0.9] * len(boxes), [BOX]))
    if detector:
        sizes = [np.array([9.0 + 2 * view]) for view in range(VIEWS)]
        result.figures = detection_figures(result.detections, sizes, [1] * VIEWS, range(VIEWS))
    return result


def rows_of(result: LesionEvaluation) -> dict[tuple[str, str], dict[str, str]]:
    rows = csv.DictReader(io.StringIO(lesion_evaluation.table_csv(result)))
    return {(row["view"], row["image"]): row for row in rows}


def test_csv_has_every_lesion_in_every_image_and_says_whether_it_was_found() -> None:
    rows = rows_of(judgement())
    assert len(rows) == VIEWS * 3
    assert [rows[str(view), LOW]["found"] for view in range(VIEWS)] == ["1", "1", "0", "0"]
    assert rows["3", LOW]["score"] == ""
    assert (rows["0", "net"]["strength"], rows["0", LOW]["strength"]) == ("0.5", "")
    assert rows["1", FULL]["roi_psnr"] == ""
    assert (rows["1", "net"]["contrast_kept"], rows["1", "net"]["position_mm"]) == ("0.75", "12.5")
    assert [rows["0", LOW][edge] for edge in ("top", "left", "bottom", "right")] == ["10", "12", "20", "22"]
    assert {row["found"] for row in rows_of(judgement(detector=False)).values()} == {""}


def test_json_is_json_and_says_what_it_holds() -> None:
    uids: list[dict[str, object]] = [{"case": "case <1>", "low": {"series": "1.2.3"}}]
    content = json.loads(lesion_evaluation.as_json(judgement(), uids), parse_constant=lambda name: pytest.fail(name))
    assert (content["task"], content["detector"], content["seed"], content["lesions"]) == ("lesions", "d" * 64, 7, 4)
    assert content["series"] == uids
    assert "256 grey levels" in content["definitions"]["texture"]
    found = {(each["image"], each["figure"]): each["value"] for each in content["detection"]}
    assert (found[LOW, "sensitivity at 1"], found["net", "sensitivity at 1"], found[FULL, "ap50"]) == (0.5, 0.75, 1.0)
    gains = {(each["image"], each["figure"]): each["value"] for each in content["detection_change_to_low_dose"]}
    assert gains["net", "sensitivity at 1"] == 0.25
    assert (LOW, "ap50") not in gains
    texture = {(each["image"], each["measure"]): each["mean"] for each in content["change_to_full_dose"]}
    assert texture[LOW, "energy"] == pytest.approx(-0.1)
    kept = {(each["image"], each["measure"]): each["mean"] for each in content["measures"]}
    assert kept["net", "contrast_kept"] == pytest.approx(0.75)
    assert kept[LOW, "roi_psnr"] == "inf"
    assert json.loads(lesion_evaluation.as_json(judgement(detector=False), []))["detection"] is None


def test_page_is_self_contained_and_leaves_out_what_needs_a_detector() -> None:
    result = judgement()
    result.warnings.append("odd <gaps>")
    text = lesion_evaluation.page(result)
    assert "odd &lt;gaps&gt;" in text
    assert text.count("data:image/png;base64,") == 2 + 2  # two plots; lesions found in some images, and in all
    assert "http" not in text
    assert "4 lesions (4 in the liver) in 4 slices of 1 patient" in text
    assert "says little of other patients" in text
    assert "nan" not in text
    without = lesion_evaluation.page(judgement(detector=False))
    assert "AP-50" not in without.split("How this was made")[0]
    assert without.count("data:image/png;base64,") == 1


def test_a_single_annotated_slice_has_no_intervals() -> None:
    result = judgement()
    result.annotated, result.rows = True, [row for row in result.rows if row.view == 0]
    result.samples = result.samples[:1]
    result.detections = {image: found[:1] for image, found in result.detections.items()}
    result.figures = detection_figures(result.detections, [np.array([9.0])], [1], [0])
    text = lesion_evaluation.page(result)
    assert "1 lesion (1 liver) in 1 slice of 1 patient, as they were annotated" in text
    assert "a single slice gives no interval" in text
    assert "bootstrap" not in text


def test_a_change_is_marked_where_its_interval_excludes_zero() -> None:
    rows = {row["image"]: row for row in lesion_tables.detection_rows(judgement())}
    assert rows[LOW]["change"] is None
    assert rows[FULL]["change"]["text"].startswith("+0.")
    assert not rows["net"]["change"]["good"]  # one slice of four differs: samples without it have no gain
    assert [cell["good"] for cell in rows["net"]["cells"]] == [True] * 4
    assert not any(cell["good"] for cell in rows[FULL]["cells"])  # it takes no part


def test_lesions_are_shown_by_what_became_of_them() -> None:
    shown = lesion_figures.chosen(judgement())
    assert {title: [sample.view for sample in samples] for title, samples in shown.items()} == {
        "Found in some images, missed in others": [2, 3], "Found in all images": [0, 1]
    }  # fmt: skip


def test_boxes_are_drawn_around_the_pixels_of_the_crop() -> None:
    import matplotlib.image

    result = judgement()
    drawn = matplotlib.image.imread(io.BytesIO(lesion_figures.crops(result, result.samples[:1])))[..., :3]
    for ink in (lesion_figures.TRUE, lesion_figures.DETECTED):
        rgb = np.array([int(ink[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        assert np.count_nonzero(np.abs(drawn - rgb).max(axis=-1) < 0.15) > 20
