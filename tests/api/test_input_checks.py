"""Every function refuses what is no input before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowdose
from lowdose.api import denoising, simulation
from lowdose.api.detection import detect_each
from support.ct_pair import CTPair

FUNCTIONS: dict[str, Callable[[Any, Path], object]] = {
    "read": lambda given, out: lowdose.read(given),
    "denoise": lambda given, out: lowdose.denoise(given, out, model="no such model"),
    "simulate_dose": lambda given, out: lowdose.simulate_dose(given, out, dose=0.5),
    "explain": lambda given, out: lowdose.explain(given, out, autoencoder="no such autoencoder"),
    "evaluate": lambda given, out: lowdose.evaluate(given, given, out=out, model="no such model"),
    "evaluate data": lambda given, out: lowdose.evaluate(data=given, out=out),
    "train": lambda given, out: lowdose.train("red_cnn", out, data=given),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pipes_and_empty_text_are_refused_before_models_are_loaded(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(lowdose.errors.CannotDecode, match="is a named pipe"):
        FUNCTIONS[name](tmp_path / "pipe", tmp_path / "out")
    with pytest.raises(lowdose.errors.NothingToRead, match="an empty path"):
        FUNCTIONS[name]("", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_output_is_refused(ct_pair: CTPair) -> None:
    for write in (
        lambda: lowdose.denoise(ct_pair.quarter, "", model="gaussian"),
        lambda: lowdose.simulate_dose(ct_pair.full, "", dose=0.5),
        lambda: lowdose.simulate_phantom("water", "", dose=0.5),
        lambda: lowdose.evaluate(ct_pair.quarter, ct_pair.full, out="", model="gaussian"),
        lambda: lowdose.train("red_cnn", "", data="PAIRS"),
    ):
        with pytest.raises(lowdose.errors.LowDoseError, match="out: an empty path"):
            write()


NOTHING = "no such file"
WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "denoise": lambda given, out: lowdose.denoise(given, out, model=NOTHING),
    "simulate_dose": lambda given, out: lowdose.simulate_dose(given, out, dose=0.5, kernel="auto"),
    "simulate_phantom": lambda given, out: lowdose.simulate_phantom("water", out, dose=0.5, slices=0),
    "explain": lambda given, out: lowdose.explain(given, out, autoencoder=NOTHING),
    "similar_places": lambda given, out: lowdose.similar_places(given, NOTHING, out),
    "detect": lambda given, out: lowdose.detect(given, NOTHING, out),
    "detect several": lambda given, out: detect_each([given, given], NOTHING, out),
    "evaluate images": lambda given, out: lowdose.evaluate(given, given, out=out, model=NOTHING),
    "evaluate organs": lambda given, out: lowdose.evaluate(given, given, out=out, task="organs", segmenter=NOTHING),
    "evaluate lesions": lambda given, out: lowdose.evaluate(given, given, out=out, task="lesions", detector=NOTHING),
    "evaluate a teacher": lambda given, out: lowdose.evaluate(full=given, out=out, task="teacher", autoencoder=NOTHING),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_output_that_exists_is_refused_before_anything_is_loaded(name: str, ct_pair: CTPair, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    for place in (tmp_path / "taken", tmp_path / "taken" / "file" / "below"):
        with pytest.raises(lowdose.errors.OutputRefused, match=r"exists and is not empty|cannot be written"):
            WRITERS[name](ct_pair.quarter, place)
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "file"]


@pytest.mark.parametrize("recipe", ["red_cnn", "anatomy", "leda_autoencoder", "noise_vae"])
def test_a_run_that_exists_is_refused_before_the_data_are_looked_at(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "state.pt").touch()
    with pytest.raises(lowdose.errors.OutputRefused, match="holds a run already"):
        lowdose.train(recipe, tmp_path, data=tmp_path / NOTHING)
    with pytest.raises(lowdose.errors.OutputRefused, match="exists and is not a folder"):
        lowdose.train(recipe, tmp_path / "state.pt", data=tmp_path / NOTHING)
    with pytest.raises(lowdose.errors.OutputRefused, match="holds a run already"):
        lowdose.train("red_cnn", tmp_path, data=tmp_path / NOTHING, pairing="learned-noise", low=tmp_path / NOTHING)


def test_outputs_that_do_not_fit_the_input_are_refused_before_its_noise_is_measured(
    ct_pair: CTPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("the series was measured")

    monkeypatch.setattr(denoising, "set_up_stacks", measured)
    monkeypatch.setattr(simulation, "calibrated_stacks", measured)
    np.save(tmp_path / "a.npy", np.full((2, 64, 64), -1000.0, np.float32))
    (tmp_path / "b.json").touch()
    for given, out, words in (
        (ct_pair.quarter, tmp_path / "b.nii", "a DICOM folder is written"),
        (ct_pair.quarter, ct_pair.quarter / "inside", "lies inside the input folder"),
        (tmp_path / "a.npy", tmp_path / "b.npz", "for .npy input the output is a .npy file"),
        (tmp_path / "a.npy", tmp_path / "a.npy", "a.npy: exists"),
    ):
        with pytest.raises(lowdose.errors.OutputRefused, match=words):
            lowdose.denoise(given, out, model="gaussian")
        with pytest.raises(lowdose.errors.OutputRefused, match=words):
            lowdose.simulate_dose(given, out, dose=0.5)
    with pytest.raises(lowdose.errors.OutputRefused, match=r"b\.json: exists"):
        lowdose.denoise(tmp_path / "a.npy", tmp_path / "b.npy", model="gaussian", manifest=True)


def test_strict_takes_what_lies_inside_the_range(ct_pair: CTPair) -> None:
    assert lowdose.denoise(ct_pair.quarter, model="gaussian", strict=True).slices == 6  # has no range
    sagittal = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    volume = lowdose.read(ct_pair.quarter)
    turned = lowdose.Volume(volume.hu[:1, :128, :128], lowdose.image.Geometry(volume.spacing, direction=sagittal))
    with pytest.raises(lowdose.errors.OutsideTrainingRange, match="the slices are sagittal"):
        lowdose.denoise(turned, strict=True, engine="torch")
