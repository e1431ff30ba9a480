"""The report: what is marked best, what is said of intervals, and where the zoom looks."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from lowdose.evaluation.images import FULL, LOW, ImageEvaluation, MetricRow, SampleSlice
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics.noise_frequency import Spectrum
from lowdose.metrics.profiles import PROFILES
from lowdose.report import figures, page, summary


@pytest.fixture
def evaluation() -> ImageEvaluation:
    result = ImageEvaluation(PROFILES["default"], 0.5, "cpu", [LOW, "good", "bad", FULL], {"good": "a" * 64, "bad": ""})
    values = {LOW: (20.0, 30.0), "good": (25.0, 12.0), "bad": (22.0, 40.0)}
    for patient in (1, 2):
        for image, (psnr, rmse) in values.items():
            for metric, value in (("rmse", rmse), ("psnr", psnr)):
                result.rows.append(MetricRow("case <1>", patient, 5.0 * patient, image, metric, value + 0.1 * patient))
            if image != LOW:
                bias = {"good": -0.5, "bad": 3.0}[image] * patient
                result.rows.append(MetricRow("case <1>", patient, 5.0, image, "bias to low dose, fat", bias))
    images = {name: np.random.default_rng(0).normal(0, 50, (64, 64)).astype(np.float32) for name in result.images}
    result.samples.append(SampleSlice("case <1>", 5.0, 1.0, images))
    return result


def test_best_is_lowest_rmse_and_highest_psnr(evaluation: ImageEvaluation) -> None:
    table = page._table(evaluation, None)
    best = {row["image"]: [cell["best"] for cell in row["cells"]] for row in table["rows"]}
    assert best == {LOW: [False, False], "good": [True, True], "bad": [False, False]}
    assert table["metrics"] == ["rmse", "psnr"]


def test_page_escapes_names_and_holds_its_pictures(evaluation: ImageEvaluation) -> None:
    text = page.page(evaluation)
    assert "case &lt;1&gt;" in text
    assert "case <1>" not in text
    assert text.count("data:image/png;base64,") == 3
    assert "2 slices of 2 patients" in text
    assert "says nothing of other patients" in text
    assert "-0.75" in text
    assert "+6.00" in text
    assert "strength 0.5" in text


def test_csv_and_json_carry_definitions(evaluation: ImageEvaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(summary.table_csv(evaluation))))
    assert len(rows) == len(evaluation.rows)
    assert all("[-160, 240] HU" in row["definition"] for row in rows if row["metric"] in ("rmse", "psnr"))
    assert {row["strength"] for row in rows if row["image"] == "good"} == {"0.5"}
    gain = json.loads(summary.as_json(evaluation, []))["gains_over_low_dose"]
    assert next(g for g in gain if (g["image"], g["metric"]) == ("good", "psnr"))["mean"] == pytest.approx(5.0)
    for row in [row for row in evaluation.rows if row.metric == "psnr" and row.patient == 1]:
        evaluation.rows[evaluation.rows.index(row)] = replace(row, value=float("inf"))
    content = json.loads(summary.as_json(evaluation, [{"case": "x"}]), parse_constant=lambda name: pytest.fail(name))
    assert content["models"]["good"] == "a" * 64
    assert any(s["mean"] == "inf" for s in content["summaries"])


def test_noise_spectra_are_drawn_and_stand_in_the_json(evaluation: ImageEvaluation) -> None:
    frequency = np.linspace(0.1, 1, 16)
    for image, level in ((LOW, 4.0), (FULL, 1.0)):
        for factor in (0.5, 1.5):
            curve = Spectrum(frequency, np.full(16, factor * level))
            evaluation.spectra.setdefault(("case <1>", image), []).append(curve)
    evaluation.noise_kept.append(
        "case <1>, good: 25% of the usual dose, as stated; texture natural: 45% of the input mixed in"
    )
    text = page.page(evaluation)
    assert text.count("data:image/png;base64,") == 4
    assert "Noise power spectrum, case &lt;1&gt;" in text
    assert "texture natural: 45% of the input mixed in" in text
    content = json.loads(summary.as_json(evaluation, []))
    spectra = content["noise_power_spectra"]["spectra"]["case <1>"]
    assert {image: one["hu2_mm2"][3] for image, one in spectra.items()} == {LOW: 4.0, FULL: 1.0}
    assert spectra[LOW]["frequency_per_mm"] == pytest.approx(list(frequency))
    assert content["noise_kept"] == evaluation.noise_kept


def test_zoom_looks_at_structure_within_the_window() -> None:
    image = np.full((256, 256), -1000, np.float32)
    image[20:100, 20:100] = 3000  # bright and flat: no
    image[140:220, 130:210] = 40
    image[160:200, 150:190:8] = 160
    y, x = figures.most_structured_region(image, SOFT_TISSUE, 64)
    assert 120 <= y <= 200
    assert 100 <= x <= 200


def test_pictures_are_png(evaluation: ImageEvaluation) -> None:
    sample = evaluation.samples[0]
    before, after = sample.images[LOW], sample.images["good"]
    for data in (
        figures.compare(sample, SOFT_TISSUE),
        figures.differences(sample),
        figures.zoom(sample, SOFT_TISSUE, 32),
        figures.preview(before, after, SOFT_TISSUE, 2.0, "good"),
    ):
        assert data.startswith(b"\x89PNG")
