"""``lowdose.detect`` with detectors of one disc: what it returns and writes, and what it refers to."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

import lowdose
from lowdose.api import lesions_of_series
from lowdose.api.detected_lesions import DetectedLesions
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.infer.lesions import DetectedLesion, LesionBox
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.detection.detector_file import read_detector
from lowdose.training.denoisers import parse_denoiser
from lowdose.version import __version__
from support.lesion_detectors import (
    BOX,
    DISC,
    TISSUE,
    Told,
    slices,
    write_blind_detector,
    write_trained_detector,
)
from support.synthetic_dicom import make_series, store

SHOWN = [False, True, True, False]
SPACING = (2.0, 0.7, 0.7)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a detector that sees what is brighter than tissue, in place of the network in the file."""
    told = Told(lambda hu: hu > (TISSUE + DISC) / 2)
    monkeypatch.setattr(lesions_of_series, "read_detector", lambda path: (told, "d" * 64))
    return write_blind_detector(tmp_path / "run")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    hu = np.rint(slices(SHOWN))

    def show(header: Any, index: int) -> None:
        store(header, hu[index])

    make_series(tmp_path / "series", len(SHOWN), after=show)
    return tmp_path / "series"


def only_lesion(result: lowdose.DetectedLesions) -> Any:
    (lesion,) = result.to_dict()["lesions"]
    return lesion


@pytest.mark.slow
def test_a_trained_detector_finds_what_it_was_told(run: Path, series: Path, tmp_path: Path) -> None:
    told = only_lesion(lowdose.detect(series, run, model="none"))
    with pytest.MonkeyPatch.context() as undone:
        undone.setattr(lesions_of_series, "read_detector", read_detector)
        found = only_lesion(lowdose.detect(series, write_trained_detector(tmp_path / "trained"), model="none"))
    assert found["slices"] == told["slices"]
    assert found["centre_mm"] == pytest.approx(told["centre_mm"], abs=1.5)
    assert list(found["extent_mm"].values()) == pytest.approx(list(told["extent_mm"].values()), abs=2.5)
    assert found["score"] == max(box["score"] for box in found["boxes"]) > 0.5


def test_a_lesion_with_its_slices_place_size_and_value(run: Path, series: Path, tmp_path: Path) -> None:
    result = lowdose.detect(series, run, tmp_path / "out", model="none")
    lesion = only_lesion(result)
    assert lesion["slices"] == [1, 2]
    for box in lesion["boxes"]:
        assert [box[edge] for edge in ("top", "left", "bottom", "right")] == list(BOX)
    assert list(lesion["extent_mm"].values()) == pytest.approx([4.0, 12 * 0.7, 12 * 0.7])
    # the first pixel lies at (-20, -20), and the slices at 2 and 4 mm
    assert lesion["centre_mm"] == pytest.approx([-20 + 19.5 * 0.7, -20 + 39.5 * 0.7, 3.0])
    inside = TISSUE + (DISC - TISSUE) * np.pi / 4
    assert lesion["mean_hu"] == pytest.approx(inside, abs=2)
    assert lesion["score"] == 0.9


def test_the_files_of_a_series(run: Path, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = lowdose.detect(series, run, out, model="none")
    assert sorted(file.name for file in out.iterdir()) == ["lesions.dcm", "lesions.json", "lesions.png"]
    record = json.loads((out / "lesions.json").read_text())
    assert record == result.to_dict()
    assert record["model"] is None
    assert record["lowdose"] == __version__
    assert record["slices"] == 4
    assert len(record["input"]["instances"]) == 4
    for name in ("lesions.json", "lesions.png"):
        assert b"SECRET" not in (out / name).read_bytes().upper()
    with pytest.raises(OutputRefused):
        lowdose.detect(series, run, out, model="none")
    assert result.save(tmp_path / "again") == tmp_path / "again"
    assert (tmp_path / "again" / "lesions.dcm").read_bytes() == (out / "lesions.dcm").read_bytes()
    assert "data:image/png" in result._repr_html_()
    assert f"<figcaption>{len(record['lesions'])} lesion" in result._repr_html_()


def test_one_lesion_in_one_slice_is_told_of_in_the_singular() -> None:
    lesion = DetectedLesion((LesionBox(0, (2.0, 2.0, 8.0, 8.0), 0.9),), 40.0, (None, None, None), None)
    one = DetectedLesions((lesion,), 1, None, 0.5, ())
    assert "<figcaption>1 lesion in 1 slice; " in one._repr_html_()
    assert one.lines() == ["lesion 1: score 0.90, slice 1, ? x ? x ? mm, 40 HU"]
    assert DetectedLesions((), 1, None, 0.5, ()).lines() == ["no lesion in 1 slice with a score of at least 0.5"]


def test_the_structured_report_refers_to_the_right_pixels_of_the_right_images(
    run: Path, series: Path, tmp_path: Path
) -> None:
    sr = pytest.importorskip("highdicom").sr
    result = lowdose.detect(series, run, tmp_path / "out", model="none")
    document = sr.srread(tmp_path / "out" / "lesions.dcm")
    images = sorted((dcmread(file) for file in series.iterdir()), key=lambda image: image.ImagePositionPatient[2])
    assert document.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert document.StudyInstanceUID == images[0].StudyInstanceUID
    assert document.SeriesInstanceUID != images[0].SeriesInstanceUID
    assert (str(document.PatientName), document.PatientID) == ("Secret^Name", "SECRET-ID")
    assert (document.CompletionFlag, document.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert document.PreliminaryFlag == "PRELIMINARY"
    assert {evidence[2] for evidence in document.get_evidence()} == {image.SOPInstanceUID for image in images}

    (group,) = document.content.get_volumetric_roi_measurement_groups()
    (lesion,) = result.lesions
    for found, region in zip(lesion.boxes, group.roi, strict=True):
        top, left, bottom, right = found.box
        expected = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]  # column, row
        np.testing.assert_allclose(region.value, expected, rtol=1e-6)
        reference = region.ContentSequence[0].ReferencedSOPSequence[0]
        image = images[found.slice]
        assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
        pixels = image.pixel_array[round(top) : round(bottom), round(left) : round(right)] + image.RescaleIntercept
        assert pixels.mean() > (TISSUE + DISC) / 2
    certainty, attenuation = group.get_measurements()
    assert (certainty.name.meaning, certainty.unit.meaning) == ("Certainty of Finding", "Percent")
    assert certainty.value == pytest.approx(100 * lesion.score, abs=0.01)
    assert attenuation.value == pytest.approx(lesion.mean_hu, abs=0.01)
    assert group.finding_type.meaning == "Lesion"
    assert group.tracking_identifier == "lesion 1"
    content = document.to_json()
    for text in (
        "a research algorithm",
        "not a medical device",
        f'"{__version__}"',
        "looked at the images as they are",
    ):
        assert text in content


def test_nothing_found_is_said_and_written(run: Path, tmp_path: Path) -> None:
    sr = pytest.importorskip("highdicom").sr

    def plain(header: Any, index: int) -> None:
        store(header, np.rint(slices([False], seed=index)[0]))

    make_series(tmp_path / "plain", 2, after=plain)
    result = lowdose.detect(tmp_path / "plain", run, tmp_path / "out", model="none")
    assert result.lines() == ["no lesion in 2 slices with a score of at least 0.5"]
    assert json.loads((tmp_path / "out" / "lesions.json").read_text())["lesions"] == []
    assert Image.open(tmp_path / "out" / "lesions.png").size[0] > 0
    document = sr.srread(tmp_path / "out" / "lesions.dcm")
    assert document.content.get_volumetric_roi_measurement_groups() == []
    (group,) = document.content.get_image_measurement_groups()
    (count,) = group.get_measurements()
    assert (count.name.meaning, count.value) == ("Number of lesions (observable entity)", 0)


def test_without_highdicom_the_rest_is_written_and_the_way_out_told(
    run: Path, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = lowdose.detect(series, run, tmp_path / "out", model="none")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["lesions.json", "lesions.png"]
    (warning,) = result.warnings
    assert warning.endswith("(pip install 'lowdose[reports]')")


def test_a_volume_has_no_report_and_says_so(run: Path, series: Path) -> None:
    found = lowdose.detect(lowdose.read(series), run, model="none")
    assert only_lesion(found)["slices"] == [1, 2]
    assert found.warnings == (
        "no lesions.dcm: it is written for DICOM that is given by its path, not for a volume in memory",
    )


def test_an_array_has_no_report_and_may_lack_a_place(run: Path) -> None:
    found = lowdose.detect(slices(SHOWN), run, spacing=SPACING, model="none")
    assert only_lesion(found)["slices"] == [1, 2]
    assert found.warnings == ()
    assert found.to_dict()["input"] == {}


def test_a_file_without_positions_is_looked_at_slice_by_slice(run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", hu=slices(SHOWN).astype(np.float32))
    found = lowdose.detect(tmp_path / "scan.npz", run, model="none", pixel=0.7)
    lesions = found.to_dict()["lesions"]
    assert sorted(each["slices"] for each in lesions) == [[1], [2]]
    assert {each["centre_mm"] for each in lesions} == {None}
    assert {each["extent_mm"]["through_slices"] for each in lesions} == {None}
    assert "no lesion is followed" in found.warnings[-1]


def test_the_denoiser_is_named_where_the_run_has_none(run: Path) -> None:
    volume = lowdose.Volume.from_array(slices(SHOWN), SPACING)
    with pytest.raises(InvalidSetting, match=r"no model\.safetensors beside the detector; .*--model none"):
        lowdose.detect(volume, run)
    assert lowdose.detect(volume, run, model="gaussian").model == "gaussian"


@pytest.mark.slow
def test_by_default_it_looks_through_the_model_of_its_run(run: Path) -> None:
    chosen = parse_denoiser("red_cnn:channels=2")
    path = run / "model.safetensors"
    checkpoint.save_denoiser(path, Denoiser(chosen.network, chosen.scale), TrainingDomain(), {})
    of_run = lowdose.detect(slices(SHOWN), run, spacing=SPACING).to_dict()["model"]
    assert of_run["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_lines_are_those_of_the_best() -> None:
    found = DetectedLesion((LesionBox(3, (1.0, 2.0, 3.0, 5.0), 0.75),), 40.0, (3.0, 2.0, 3.0), None)
    few, many = (lowdose.DetectedLesions((found,) * count, 9, None, 0.5, ()).lines() for count in (12, 15))
    assert few[11] == many[11] == "lesion 12: score 0.75, slice 4, 3 x 2 x 3 mm, 40 HU"
    assert (len(few), many[12:]) == (12, ["and 3 more with lower scores"])


@pytest.mark.parametrize("score", [0.0, 1.1])
def test_a_score_that_no_box_can_have_is_refused(run: Path, score: float) -> None:
    with pytest.raises(InvalidSetting, match=r"--score .*: must be between 0\.05"):
        lowdose.detect(slices(SHOWN), run, spacing=SPACING, model="none", score=score)
