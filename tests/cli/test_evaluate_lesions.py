"""``evaluate --task lesions`` as a user meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lowdose import cli
from lowdose.io.dicom import new_series
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.open_series import open_source
from lowdose.networks import segmentation
from lowdose.networks.detection.detector import LesionDetector
from lowdose.organ_classes import INDEX
from lowdose.volume import Volume
from support.lesion_detectors import write_detector


def run(*arguments: object) -> int:
    return cli.run(["evaluate", "--task", "lesions", *(str(each) for each in arguments)])


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Liver by smoothed HU in the place of the network, and one lesion in each slice."""

    def segment(_: object, hu: np.ndarray, pixel_mm: object) -> np.ndarray:
        return np.where(gaussian_filter(hu, 2.0) > 20, INDEX["liver"], INDEX["body"]).astype(np.uint8)

    monkeypatch.setattr(segmentation, "segment_slice", segment)
    monkeypatch.setattr("lowdose.evaluation.inserted_lesions.EACH", 1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with a liver of 180 mm, each with a folder 'quarter' and a folder 'full' of DICOM."""
    root, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    clean = np.zeros((3, 80, 80))
    clean[:, 10:70, 10:70] = 60.0
    for patient in (1, 2):
        study = new_uid()
        for name, noise in (("quarter", 12.0), ("full", 6.0)):
            volume = Volume.from_array(clean + noise * rng.standard_normal(clean.shape), (3.0, 3.0, 3.0))
            new_series.write_new_series(
                volume, root / f"p{patient}" / name, description=name, patient=f"SECRET-{patient}", study_uid=study
            )
    return root


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an untrained detector."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    return write_detector(folder, LesionDetector(4, 1, 8, 16))


def one(pairs: Path) -> list[object]:
    return ["--low", pairs / "p1" / "quarter", "--full", pairs / "p1" / "full"]


def test_table_summary_and_page_with_a_detector(
    pairs: Path, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lowdose.evaluation.lesion_detection.RESAMPLES", 10)
    out = tmp_path / "report"
    assert run(*one(pairs), "--model", "gaussian", "--detector", detector, "--seed", 3, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "summary.json", "table.csv"]
    summary, rows = json.loads((out / "summary.json").read_text()), list(csv.DictReader((out / "table.csv").open()))
    assert (summary["task"], summary["seed"], summary["draws"]) == ("lesions", 3, 1)
    assert len(summary["detector"]) == 64
    assert len(rows) == 3 * summary["lesions"] > 0
    assert {row["image"] for row in rows} == {"low dose", "gaussian", "full dose"}
    kept = {each["image"]: each["mean"] for each in summary["measures"] if each["measure"] == "contrast_kept"}
    assert kept["low dose"] == pytest.approx(1.0, abs=1e-4)
    assert 0.1 < kept["gaussian"] < 1.0
    said = capfd.readouterr().err
    assert "AP-50" in said
    assert "contrast kept 1.000" in said
    for file in out.iterdir():
        assert "SECRET" not in file.read_text()


def coco(series: Path, path: Path) -> Path:
    """A box of 6 x 8 pixels in the second slice of a series, and one in a file that is not there."""
    with open_source(series) as source:
        file, (rows, columns) = source.files[1].path.name, source.planes[1].shape
    image = {"id": 1, "file_name": file, "width": columns, "height": rows}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [50, 60, 8, 6]}
    images, boxes = [image, {**image, "id": 2, "file_name": "nowhere.dcm"}], [box, {**box, "id": 2, "image_id": 2}]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cyst"}]}))
    return path


@pytest.mark.parametrize("side", ["quarter", "full"])
def test_annotated_findings_are_measured_where_they_lie(pairs: Path, tmp_path: Path, side: str) -> None:
    findings = coco(pairs / "p1" / side, tmp_path / "findings.json")
    out = tmp_path / "report"
    assert run(*one(pairs), "--model", "gaussian", "--findings", findings, "--out", out) == 0
    summary, rows = json.loads((out / "summary.json").read_text()), list(csv.DictReader((out / "table.csv").open()))
    assert (summary["lesions"], summary["detector"], summary["seed"]) == (1, None, None)
    assert "findings: 1 of 2 findings lie in no slice of the data (left out)" in summary["warnings"]
    assert str(tmp_path) not in "".join(file.read_text() for file in out.iterdir())  # paths may name the patient
    assert "ring around it" in summary["definitions"]["contrast_kept"]
    assert [row["image"] for row in rows] == ["low dose", "gaussian", "full dose"]
    assert {(row["slice"], row["organ"], row["shape"]) for row in rows} == {("1", "cyst", "annotated")}
    assert [rows[0][edge] for edge in ("top", "left", "bottom", "right")] == ["60", "50", "66", "58"]
    assert float(rows[0]["diameter_mm"]) == pytest.approx(3.0 * np.sqrt(48), rel=1e-3)
    assert "as they were annotated" in (out / "index.html").read_text()


def test_what_does_not_fit_ends_with_code_2_a_reason_and_no_output(
    pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    anyone = coco(pairs / "p2" / "full", tmp_path / "anyone.json")
    findings = coco(pairs / "p2" / "full", tmp_path / "findings.json")
    findings.write_text(findings.read_text().replace('"file_name": "', '"file_name": "elsewhere/'))
    bad = {
        "no detector there": (["--detector", tmp_path / "nowhere"], "nowhere"),
        "no draw": (["--lesions", 0], "--lesions 0"),
        "negative seed": (["--seed", -1], "--seed -1"),
        "segmenter": (["--segmenter", "anatomy"], "images or organs"),
        "no findings there": (["--findings", tmp_path / "none.json"], "none.json"),
        "findings and a seed": (["--findings", findings, "--seed", 1], "--seed: is not an option"),
        "findings of others": (["--findings", findings], "none of its 2 findings lies in a slice of the data"),
        "findings of any": (["--data", pairs, "--findings", anyone], "fits slices of 2 patients"),
        "words": (["--words"], "--words: is not an option of --task lesions"),
    }
    for name, (arguments, reason) in bad.items():
        which = [] if "--data" in arguments else one(pairs)
        assert run(*which, *arguments, "--model", "gaussian", "--out", tmp_path / "report") == 2, name
        said = capfd.readouterr().err
        assert reason in said, name
        assert "Traceback" not in said, name
        assert not (tmp_path / "report").exists(), name
    assert cli.run(["evaluate", *(str(each) for each in one(pairs)), "--seed", "1", "--out", str(tmp_path / "r")]) == 2
    assert "--task lesions" in capfd.readouterr().err
