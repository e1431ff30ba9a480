"""Every function refuses what is no input before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lowdose
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


def test_strict_takes_what_lies_inside_the_range(ct_pair: CTPair) -> None:
    assert lowdose.denoise(ct_pair.quarter, model="gaussian", strict=True).slices == 6  # has no range
    sagittal = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    volume = lowdose.read(ct_pair.quarter)
    turned = lowdose.Volume(volume.hu[:1, :128, :128], lowdose.image.Geometry(volume.spacing, direction=sagittal))
    with pytest.raises(lowdose.errors.OutsideTrainingRange, match="the slices are sagittal"):
        lowdose.denoise(turned, strict=True, engine="torch")
