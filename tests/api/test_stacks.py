"""Series of several stacks: each is measured, denoised and simulated by itself, and all are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

import lowdose
from lowdose.io.dicom.series import DicomSource
from support.synthetic_dicom import make_series


def two_energies(folder: Path, count: int = 4) -> Path:
    """Slices of each of two energies, the second of four times the noise; and the same as two series."""
    for stack, kvp in enumerate((140, 80)):

        def edit(ds: Any, i: int, stack: int = stack, kvp: int = kvp) -> None:
            ds.KVP, ds.InstanceNumber, ds.AcquisitionNumber = kvp, 1 + i + count * stack, 1
            if stack:
                hu = np.frombuffer(ds.PixelData, "<u2").astype(float).reshape(128, 128)
                hu += np.random.default_rng(i).normal(0, 32, (128, 128))
                ds.PixelData = np.rint(hu.clip(0, 4095)).astype("<u2").tobytes()

        make_series(folder / "one", count, after=edit, name=f"e{stack}-", size=128)
        make_series(folder / f"alone{stack}", count, after=edit, size=128)
    return folder / "one"


def pixels_of(folder: Path) -> list[bytes]:
    return [dcmread(path).PixelData for path in sorted(folder.glob("*.dcm"))]


@pytest.mark.parametrize("options", [{}, {"noise_sd": 5.0}])
def test_each_stack_is_denoised_as_if_it_were_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = two_energies(tmp_path)
    loaded = lowdose.load_model("gaussian")
    result = lowdose.denoise(folder, tmp_path / "out", model=loaded, manifest=True, **options)
    alone = [lowdose.denoise(tmp_path / f"alone{i}", tmp_path / f"out{i}", model=loaded, **options) for i in (0, 1)]
    assert result.slices == 8
    assert pixels_of(tmp_path / "out") == pixels_of(tmp_path / "out0") + pixels_of(tmp_path / "out1")
    assert [stack["measured"] for stack in result.manifest["stacks"]] == [one.manifest["measured"] for one in alone]
    assert "told apart by KVP" in result.warnings[0]
    text = dcmread(tmp_path / "out" / "00001.dcm").DerivationDescription
    assert "stack 1: noise SD" in text


@pytest.mark.slow
def test_each_stack_is_simulated_by_itself_with_noise_of_its_own(tmp_path: Path) -> None:
    folder = two_energies(tmp_path, 2)
    done: list[int] = []
    lowdose.simulate_dose(folder, tmp_path / "out", dose=0.25, progress=lambda at, count: done.append(at))
    assert done == list(range(1, 5))
    before, after = DicomSource(folder), DicomSource(tmp_path / "out")
    noise = [after.read(i).hu - before.read(i).hu for i in range(4)]
    body = slice(44, 84)
    quiet, loud = (np.std([part[body, body] for part in noise[k : k + 2]]) for k in (0, 2))
    assert loud > 2 * quiet
    assert abs(np.corrcoef(noise[0][body, body].ravel(), noise[2][body, body].ravel())[0, 1]) < 0.3
