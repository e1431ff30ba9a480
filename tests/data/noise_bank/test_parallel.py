"""A noise bank built by several processes is the bank that one process builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import build_noise_bank
from lowdose.data.noise_bank.parallel import build_with_processes
from lowdose.data.noise_bank.plan import Plan, dose_levels, prepare_folder
from lowdose.data.normal_dose import NormalDoseSlice
from support.small_scanner import exposed, normal

SLICES = [normal(number, patient=number // 2) for number in range(5)]


def prepared(folder: Path) -> Path:
    prepare_folder(folder, Plan({item.key: item.shape for item in SLICES}, 2, "water", dose_levels(0.05)))
    return folder


def test_processes_build_what_one_builds(tmp_path: Path) -> None:
    one, several = prepared(tmp_path / "one"), prepared(tmp_path / "several")
    build_noise_bank(one, SLICES, exposed)
    reports: list[tuple[int, int]] = []
    build_with_processes(several, SLICES, exposed, (0, 1), lambda *report: reports.append(report), 3)
    assert len(list(several.glob("built-*.jsonl"))) == 3
    expected, found = NoiseBank(one), NoiseBank(several)
    for item in SLICES:
        np.testing.assert_array_equal(expected[item.key].planes, found[item.key].planes)
        np.testing.assert_array_equal(expected[item.key].scales, found[item.key].scales)
    assert reports[-1][0] <= reports[-1][1] <= 5


def test_shares_of_two_machines_are_split_further(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "bank")
    build_with_processes(folder, SLICES, exposed, (1, 2), lambda done, total: None, 2)
    second = set(NoiseBank(folder).built)
    build_with_processes(folder, SLICES, exposed, (0, 2), lambda done, total: None, 2)
    assert 0 < len(second) < 5
    assert set(NoiseBank(folder).built) == {item.key for item in SLICES}


def test_what_a_process_cannot_build_is_left_for_the_caller(tmp_path: Path) -> None:
    def failing(slices: list[NormalDoseSlice]) -> None:
        raise RuntimeError("calibration failed")

    folder = prepared(tmp_path / "bank")
    build_with_processes(folder, SLICES, failing, (0, 1), lambda done, total: None, 2)  # type: ignore[arg-type]
    assert not NoiseBank(folder).built
    with pytest.raises(RuntimeError, match="calibration failed"):
        build_noise_bank(folder, SLICES, failing)  # type: ignore[arg-type]
