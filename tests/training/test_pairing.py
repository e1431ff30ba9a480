"""Slices that are too small for the patches of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowdose.data.pairs import PairedSlice
from lowdose.errors import InvalidSetting
from lowdose.training import denoiser_run
from lowdose.training.pairing import large_enough
from support.training_runs import EXACT, small_recipe


def pair(side: int, patient: int = 0, known: bool = True) -> PairedSlice:
    hu = np.full((side, side + 8), -1000, np.float32)
    return PairedSlice(patient, f"{side} {patient}", 0.8, 3.0, lambda: (hu, hu), shape=hu.shape if known else None)


def test_slices_that_are_too_small_are_left_out_and_said() -> None:
    said: list[str] = []
    items = [pair(80), pair(79), pair(20, known=False)]
    assert large_enough(items, 64, said.append) == [items[0], items[2]]
    assert said == ["warning: left out: 1 slice of less than 80 x 80 pixels"]
    assert large_enough([], 64) == []


@pytest.mark.parametrize(
    ("side", "way_out"), [(64, "--set patch=48"), (79, "--set patch=48"), (20, "leave out such series")]
)
def test_no_slice_that_is_large_enough_names_the_patch_that_fits(side: int, way_out: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"slices of {side} x {side + 8} pixels .*: {way_out}"):
        large_enough([pair(20), pair(side)], 64)


def test_a_training_on_small_slices_leaves_no_folder(tmp_path: Path) -> None:
    items = [pair(40, patient) for patient in range(3)]
    with pytest.raises(InvalidSetting, match="--set patch=16"):
        denoiser_run.train_denoiser(
            "unet", small_recipe(), items, tmp_path / "run", EXACT, lambda _: None, lambda *_: None
        )
    assert not (tmp_path / "run").exists()
