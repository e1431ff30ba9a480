"""``evaluate --task organs`` as a user meets it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from safetensors.torch import save_file

from lowdose import cli
from lowdose.anatomical_labels import LABELS
from lowdose.io.label_map import write_labels
from lowdose.io.open_series import open_source
from lowdose.networks import anatomy, segmentation
from lowdose.organ_classes import CLASSES, INDEX
from lowdose.volume_source import read_volume


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("anatomy") / "mine.safetensors"
    save_file(anatomy.Anatomy().state_dict(), path, {"format": anatomy.FORMAT, "classes": json.dumps(CLASSES)})
    return path


@pytest.fixture
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lung and liver by HU, in the place of the network."""

    def segment(_: object, hu: np.ndarray, pixel_mm: object) -> np.ndarray:
        return np.select([hu < -500, hu > 20], [INDEX["lung"], INDEX["liver"]], INDEX["body"]).astype(np.uint8)

    monkeypatch.setattr(segmentation, "segment_slice", segment)


@pytest.fixture(scope="module")
def labels(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The liver of patient 1, as the full dose shows it."""
    path = tmp_path_factory.mktemp("labels") / "labels.nii.gz"
    with open_source(pairs / "p1" / "full") as source:
        volume = read_volume(source)
    write_labels(np.where(volume.hu > 20, LABELS["liver"], 0).astype(np.uint8), volume.geometry, path)
    return path


def table(out: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    rows = csv.DictReader((out / "table.csv").open())
    return {(row["patient"], row["image"], row["organ"]): row for row in rows}


def test_segmenter_network_from_a_file(
    pairs: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "WORKING_MM", 6.0)  # a small picture is drawn in no time
    out = tmp_path / "report"
    arguments = ["--data", pairs / "p1", "--model", "gaussian", "--segmenter", network, "--out", out]
    assert run("evaluate", "--task", "organs", *arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "summary.json", "table.csv"]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["task"], summary["segmenter"]["name"]) == ("organs", "mine")
    assert "mine draws" in (out / "index.html").read_text()


@pytest.mark.usefixtures("thresholds")
def test_a_folder_of_pairs(
    pairs: Path, model: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    arguments = ["--data", pairs, "--model", model, "--model", "gaussian", "--segmenter", network, "--out", out]
    assert run("evaluate", "--task", "organs", *arguments, "--strength", 0.7) == 0
    rows = table(out)
    assert len(rows) == 2 * 4 * 2
    assert rows["2", "full dose", "liver"]["dice"] == ""
    assert 0.5 < float(rows["2", "tiny", "liver"]["dice"]) < 1.0
    assert float(rows["2", "tiny", "liver"]["hd95_mm"]) > 0
    assert rows["2", "full dose", "liver"]["hd95_mm"] == ""
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["models"]) == ["tiny", "gaussian"]
    changes = {(entry["organ"], entry["image"]): entry for entry in summary["dice_change_to_low_dose"]}
    gain = changes["liver", "gaussian"]
    assert gain["mean"] > 0
    assert gain["interval"][0] <= gain["mean"] <= gain["interval"][1]
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "strength 0.7" in page
    said = capfd.readouterr().err
    assert "to low dose" in said
    assert "6 slices, 2 series; reference: what mine draws on the full-dose images" in said


@pytest.mark.usefixtures("thresholds")
def test_given_labels_are_the_reference(
    pairs: Path, model: Path, network: Path, labels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, series = tmp_path / "report", ["--low", pairs / "p1" / "quarter", "--full", pairs / "p1" / "full"]
    arguments = [*series, "--model", model, "--segmenter", network, "--labels", labels]
    assert run("evaluate", "--task", "organs", *arguments, "--out", out) == 0
    rows = table(out)
    assert {key[2] for key in rows} == {"liver"}
    assert float(rows["1", "full dose", "liver"]["dice"]) == 1.0
    assert 0.5 < float(rows["1", "low dose", "liver"]["dice"]) < 1.0
    said = capfd.readouterr().err
    assert "full dose  Dice 1.000  HD95 0.00 mm" in said
    assert "reference: the labels given" in said
    assert str(out / "index.html") in said


@pytest.mark.usefixtures("thresholds")
def test_a_labelled_series_without_a_partner(
    pairs: Path, model: Path, network: Path, labels: Path, tmp_path: Path
) -> None:
    arguments = ["--full", pairs / "p1" / "full", "--segmenter", network, "--labels", labels]
    assert run("evaluate", "--task", "organs", *arguments, "--out", tmp_path / "alone") == 0
    assert {key[1] for key in table(tmp_path / "alone")} == {"full dose"}
    assert json.loads((tmp_path / "alone" / "summary.json").read_text())["models"] == {}
    assert run("evaluate", "--task", "organs", *arguments, "--model", model, "--out", tmp_path / "none") == 2


@pytest.mark.usefixtures("thresholds")
def test_no_patient_data_leaves_the_images(
    pairs: Path, model: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "NAME^OF^PATIENT"
    named.symlink_to(pairs / "p1")
    arguments = ["--low", named / "quarter", "--full", named / "full", "--model", model, "--segmenter", network]
    assert run("evaluate", "--task", "organs", *arguments, "--out", tmp_path / "report") == 0
    study = pydicom.dcmread(next((pairs / "p1" / "full").iterdir())).StudyInstanceUID
    for file in (tmp_path / "report").iterdir():
        text = file.read_text()
        assert "SECRET" not in text
        assert "NAME^OF^PATIENT" not in text
        assert (study in text) == (file.name == "summary.json")
    assert "SECRET" not in capfd.readouterr().err


def bad_inputs(pairs: Path, network: Path, labels: Path, tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    """Name -> (arguments, what the message must contain)."""
    one = ["--low", pairs / "p1" / "quarter", "--full", pairs / "p1" / "full"]
    organs, mine = ["--task", "organs"], ["--segmenter", network]
    (tmp_path / "labels.nii").write_text("hello")
    return {
        "no such task": ([*one, "--task", "wonder"], "images, organs"),
        "profile with organs": ([*one, *organs, *mine, "--profile", "leda"], "--task images"),
        "window with organs": ([*one, *organs, *mine, "--window", 0, 80], "--window"),
        "labels with images": ([*one, "--labels", labels], "--task organs"),
        "segmenter with images": ([*one, *mine], "--segmenter"),
        "no such segmenter": ([*one, *organs, "--segmenter", "wonder"], "total_segmentator"),
        "no such file": ([*one, *organs, "--segmenter", tmp_path / "no.safetensors"], "no.safetensors"),
        "not installed": ([*one, *organs, "--segmenter", "total_segmentator"], "pip install TotalSegmentator"),
        "too many labels": ([*one, *organs, *mine, "--labels", labels, "--labels", labels], "2 --labels for 1"),
        "labels by folder": (["--data", pairs, *organs, *mine, "--labels", labels, "--labels", labels], "--low"),
        "no labels": ([*one, *organs, *mine, "--labels", tmp_path / "nowhere.nii"], "nowhere.nii"),
        "text for labels": ([*one, *organs, *mine, "--labels", tmp_path / "labels.nii"], "labels.nii"),
        "a full alone": (["--full", pairs / "p1" / "full", *organs, *mine], "--low"),
        "nothing": ([*organs, *mine], "--low"),
        "strength": ([*one, *organs, *mine, "--strength", 2], "between 0"),
    }


def test_bad_input_ends_with_code_2_a_reason_and_no_output(
    pairs: Path,
    network: Path,
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "totalsegmentator", None)
    for name, (arguments, reason) in bad_inputs(pairs, network, labels, tmp_path).items():
        before = sorted(tmp_path.iterdir())
        assert run("evaluate", *arguments, "--out", tmp_path / "report") == 2, name
        said = capfd.readouterr().err
        assert reason in said, name
        assert "Traceback" not in said, name
        assert sorted(tmp_path.iterdir()) == before, name


@pytest.mark.usefixtures("thresholds")
def test_labels_of_another_patient_are_refused_naming_both(
    pairs: Path, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_source(pairs / "p1" / "full") as source:
        volume = read_volume(source)
    other = tmp_path / "others.nii.gz"
    write_labels(np.full((3, 100, 128), 5, np.uint8), volume.geometry, other)
    series = ["--low", pairs / "p1" / "quarter", "--full", pairs / "p1" / "full"]
    arguments = ["--task", "organs", *series, "--segmenter", network, "--labels", other, "--out", tmp_path / "report"]
    assert run("evaluate", *arguments) == 2
    said = capfd.readouterr().err
    assert "others.nii.gz" in said
    assert str(pairs / "p1" / "full") in said
    assert not (tmp_path / "report").exists()
