"""Both ways of drawing: slice by slice, and a whole series through files; and the anatomy network from a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lowdose.anatomical_labels import LABELS, NAMES
from lowdose.errors import GeometryMismatch, IncompatibleCheckpoint, InvalidSetting
from lowdose.evaluation import segmenters
from lowdose.evaluation.organs import evaluate_organs
from lowdose.networks import anatomy, segmentation
from lowdose.organ_classes import CLASSES, INDEX, ORGANS
from support.evaluation_cases import GEOMETRY, Series, artist, by_threshold, case

CPU = torch.device("cpu")


@pytest.fixture
def total(monkeypatch: pytest.MonkeyPatch) -> Callable[[], segmenters.Segmenter]:
    """TotalSegmentator by a stand-in that draws as ``by_threshold`` does."""

    def run(path: Path, *_: object, **__: object) -> nib.Nifti1Image:
        image = nib.load(path)
        assert image.affine[2, 3] == pytest.approx(GEOMETRY.origin[2] + GEOMETRY.spacing[0])
        hu = np.asarray(image.dataobj)
        return nib.Nifti1Image(np.select([hu > 150, hu > 50], [1, 5], 0).astype(np.uint8), image.affine)

    for name in ("totalsegmentator", "totalsegmentator.python_api", "totalsegmentator.map_to_binary"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["totalsegmentator.python_api"].totalsegmentator = run  # type: ignore[attr-defined]
    classes = {number: name for number, name in NAMES.items() if number <= 117}
    classes[26] = "vertebrae_L6"  # as version 3 has it
    sys.modules["totalsegmentator.map_to_binary"].class_map = {"total": classes}  # type: ignore[attr-defined]
    monkeypatch.setattr(segmentation, "segment_slice", by_threshold)
    return lambda: segmenters.load_segmenter("total_segmentator", CPU)


def bodies() -> tuple[Series, Series]:
    rng = np.random.default_rng(0)
    full = np.where(rng.random((5, 14, 12)) < 0.3, 100.0, 0.0) + np.where(rng.random((5, 14, 12)) < 0.2, 100.0, 0.0)
    valid = rng.random(full.shape) < 0.9
    low = full + rng.normal(0, 30, full.shape)
    return Series(np.where(valid, low, -2000), valid=valid), Series(full)


PART = [(1, 1), (2, 2), (3, 3)]


def test_a_whole_series_through_files_gives_what_slices_give(total: Callable[[], segmenters.Segmenter]) -> None:
    pair = case(*bodies(), pairs=PART)
    seen: list[int] = []
    whole = evaluate_organs([pair], [], total(), 1.0, seen.append)
    slices = evaluate_organs([pair], [], artist(), 1.0, lambda done: None)
    numbers = [replace(row, organ="") for row in whole.rows], [replace(row, organ="") for row in slices.rows]
    assert {row.organ for row in whole.rows} == {"spleen", "liver"}
    assert repr(numbers[0]) == repr(numbers[1])  # NaN is NaN here
    assert seen == [3, 6]
    np.testing.assert_array_equal(whole.samples[0].images["low dose"], slices.samples[0].images["low dose"])


def test_its_files_go_when_it_is_done_and_when_it_is_not(
    total: Callable[[], segmenters.Segmenter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pair = case(*bodies(), pairs=PART)
    evaluate_organs([pair], [], total(), 1.0, lambda done: None)
    assert list(tmp_path.iterdir()) == []

    def fail(*_: object, **__: object) -> None:
        assert list(tmp_path.iterdir()) != []
        raise MemoryError("too large")

    sys.modules["totalsegmentator.python_api"].totalsegmentator = fail  # type: ignore[attr-defined]
    with pytest.raises(InvalidSetting, match=r"full, low dose.*too large"):
        evaluate_organs([pair], [], total(), 1.0, lambda done: None)
    assert list(tmp_path.iterdir()) == []


def test_it_draws_stacks_only_and_says_so_before_any_work(total: Callable[[], segmenters.Segmenter]) -> None:
    good, gap = case(*bodies(), pairs=PART), case(*bodies(), pairs=[(1, 1), (3, 3)])
    with pytest.raises(GeometryMismatch, match=r"odd gaps.*--segmenter anatomy"):
        evaluate_organs([good, gap], [], total(), 1.0, lambda done: None)
    assert good.full.reads == []  # type: ignore[attr-defined]
    low, full = bodies()
    full.geometry = None
    with pytest.raises(GeometryMismatch, match="full"):
        total().check(case(low, full))


def test_labels_are_found_by_name_in_any_version(total: Callable[[], segmenters.Segmenter]) -> None:
    found = total()
    assert len(found.organs) == 117
    assert found.table[LABELS["liver"]] == 5
    assert found.table[LABELS["vertebrae_S1"]] == 0  # no class of its own there
    assert not found.table[118:].any()
    joined = artist()
    assert joined.organs == {INDEX[organ.name]: organ.name for organ in ORGANS}
    assert joined.table[LABELS["rib_left_3"]] == joined.table[LABELS["rib_right_9"]] == INDEX["rib"]
    assert joined.table[LABELS["brain"]] == INDEX["body"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("anatomy") / "mine.safetensors"
    header = {"format": anatomy.FORMAT, "classes": json.dumps(CLASSES)}
    save_file(anatomy.Anatomy().state_dict(), path, header)
    return path


def test_an_anatomy_network_from_its_file(weights: Path) -> None:
    found = segmenters.load_segmenter(str(weights), CPU)
    assert found.name == "mine"
    assert len(found.sha256) == 64
    result = evaluate_organs([case(*bodies())], [], found, 1.0, lambda done: None)
    assert {row.organ for row in result.rows} <= set(found.organs.values())
    (sample,) = result.samples
    assert sample.labels["full dose"].shape == (14, 12)


def test_unknown_segmenters_are_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match="anatomy, total_segmentator"):
        segmenters.load_segmenter("wonder", CPU)
    with pytest.raises(IncompatibleCheckpoint, match="missing"):
        segmenters.load_segmenter(str(tmp_path / "missing.safetensors"), CPU)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "lowdose-1"})
    with pytest.raises(IncompatibleCheckpoint, match="other"):
        segmenters.load_segmenter(str(tmp_path / "other.safetensors"), CPU)
    monkeypatch.setitem(sys.modules, "totalsegmentator", None)
    with pytest.raises(InvalidSetting, match="pip install TotalSegmentator"):
        segmenters.load_segmenter("total_segmentator", CPU)
