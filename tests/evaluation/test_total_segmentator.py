"""TotalSegmentator as it is called and as it fails, by a stand-in: it is never installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from lowdose.errors import InvalidSetting
from lowdose.evaluation import total_segmentator
from lowdose.image import Geometry
from lowdose.io.label_map import affine

GEOMETRY = Geometry((3.0, 0.8, 0.7), (-20.0, 35.0, -101.5))
SHAPE = (3, 5, 4)
CPU = torch.device("cpu")


def install(monkeypatch: pytest.MonkeyPatch, run: Any, classes: dict[int, str] | None = None) -> None:
    for name in ("totalsegmentator", "totalsegmentator.python_api", "totalsegmentator.map_to_binary"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["totalsegmentator.python_api"].totalsegmentator = run  # type: ignore[attr-defined]
    total = {1: "spleen", 5: "liver"} if classes is None else classes
    sys.modules["totalsegmentator.map_to_binary"].class_map = {"total": total}  # type: ignore[attr-defined]


def image(path: Path, values: np.ndarray) -> Path:
    path.write_bytes(total_segmentator.nifti_header(GEOMETRY, SHAPE) + values.tobytes())
    return path


def test_the_image_is_where_the_series_is(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 300, SHAPE).astype(np.float32)
    found = nib.load(image(tmp_path / "a.nii", values))
    np.testing.assert_array_equal(np.asarray(found.dataobj), values.transpose(2, 1, 0))
    np.testing.assert_allclose(found.affine, affine(GEOMETRY), atol=1e-5)
    np.testing.assert_allclose(found.header.get_qform(), affine(GEOMETRY), atol=1e-4)


def test_it_is_called_as_its_interface_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).normal(0, 300, SHAPE).astype(np.float32)
    calls = []

    def run(source: Path, output: object, **options: object) -> nib.Nifti1Image:
        calls.append((output, options))
        print("chatter")
        seen = nib.load(source)
        return nib.Nifti1Image(np.where(np.asarray(seen.dataobj) > 0, 5, 0).astype(np.int32), seen.affine)

    install(monkeypatch, run)
    found = total_segmentator.segment(image(tmp_path / "a.nii", values), SHAPE, CPU, "series 1")
    np.testing.assert_array_equal(found, np.where(values > 0, 5, 0))
    assert found.dtype == np.uint8
    assert calls == [(None, {"ml": True, "quiet": True, "device": "cpu"})]
    assert capsys.readouterr() == ("", "chatter\n")
    assert total_segmentator.class_names() == {1: "spleen", 5: "liver"}


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit(1), ConnectionError("no network")])
def test_its_failure_names_the_series_and_the_ways_out(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    install(monkeypatch, fail)
    with pytest.raises(InvalidSetting) as told:
        total_segmentator.segment(tmp_path / "a.nii", SHAPE, CPU, "series 7, low dose")
    for words in ("series 7, low dose", str(error), "TOTALSEG_WEIGHTS_PATH", "--segmenter anatomy"):
        assert words in str(told.value)


def test_an_interrupt_is_not_taken_for_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    install(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        total_segmentator.segment(tmp_path / "a.nii", SHAPE, CPU, "series 7")


def test_labels_of_another_shape_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for labels in (np.zeros((4, 5, 2)), np.full((4, 5, 3), -1.0), np.full((4, 5, 3), 256.0)):
        install(monkeypatch, lambda *_, labels=labels, **__: nib.Nifti1Image(labels, np.eye(4)))
        with pytest.raises(InvalidSetting, match="series 7"):
            total_segmentator.segment(tmp_path / "a.nii", SHAPE, CPU, "series 7")


def test_absent_or_broken_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "totalsegmentator", None)
    with pytest.raises(InvalidSetting, match="is not installed: pip install TotalSegmentator"):
        total_segmentator.class_names()
    install(monkeypatch, None)
    monkeypatch.delitem(sys.modules, "totalsegmentator.python_api")
    sys.modules["totalsegmentator"].__path__ = []  # type: ignore[attr-defined]
    with pytest.raises(InvalidSetting, match="pip install TotalSegmentator"):
        total_segmentator.class_names()
