"""``lowdose simulate`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from lowdose import cli
from lowdose.io.open_series import open_source


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


def read(folder: Path) -> np.ndarray:
    with open_source(folder) as source:
        return np.stack([source.read(i).hu for i in range(len(source))])


def test_a_series_at_a_quarter_of_its_dose(pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    full = pairs / "p1" / "full"
    assert (
        run("simulate", full, "--out", tmp_path / "a", "--dose", 0.25, "--seed", 7, "--kernel", "b30", "--mas", 100)
        == 0
    )
    said = capfd.readouterr().err
    assert "Kernel B30 (Hann 0.775/mm)" in said
    assert "3 slices at 25% of the dose" in said
    assert (
        run("simulate", full, "--out", tmp_path / "b", "--dose", 0.25, "--seed", 7, "--kernel", "b30", "--mas", 100)
        == 0
    )
    np.testing.assert_array_equal(read(tmp_path / "a"), read(tmp_path / "b"))
    added = read(tmp_path / "a") - read(full)
    assert 2 < added[:, 50:80, 40:90].std() < 60
    assert pydicom.dcmread(next((tmp_path / "a").iterdir())).ImageType[0] == "DERIVED"


def test_nifti_in_nifti_out(tmp_path: Path) -> None:
    hu = np.full((64, 64, 2), -1000, np.int16)
    hu[16:48, 16:48] = 40
    nib.save(nib.Nifti1Image(hu, np.diag([3.0, 3.0, 3.0, 1.0])), tmp_path / "in.nii.gz")
    arguments = ["--dose", "0.1", "--kernel", "hann=0.9", "--mas", "50"]
    assert run("simulate", tmp_path / "in.nii.gz", "--out", tmp_path / "out.nii.gz", *arguments) == 0
    made = nib.load(tmp_path / "out.nii.gz").get_fdata()
    assert made.shape == hu.shape
    assert (made[20:40, 20:40] != hu[20:40, 20:40]).mean() > 0.5


@pytest.mark.parametrize("name", ["abdomen", "water"])
def test_a_phantom_beside_its_truth(name: str, tmp_path: Path) -> None:
    out = tmp_path / "phantom"
    assert run("simulate", "--phantom", name, "--out", out, "--dose", 0.25, "--slices", 1, "--seed", 3) == 0
    truth, full, low = (read(out / part) for part in ("truth", "full", "low"))
    flat = maximum_filter(truth, (1, 9, 9)) - minimum_filter(truth, (1, 9, 9)) < 60
    inside = flat & (truth > -200)
    assert (low - truth)[inside].std() > 1.5 * (full - truth)[inside].std()
    assert abs(float((full - truth)[inside].mean())) < 5
    facts = json.loads((out / "truth.json").read_text())
    assert facts["dose"] == 0.25
    assert ("labels" in facts) == (name == "abdomen") == (out / "labels.nii.gz").exists()
    if name == "abdomen":
        labels = nib.load(out / "labels.nii.gz")
        assert labels.shape == truth.shape[::-1]
        assert {int(k) for k in facts["labels"]} == set(np.unique(labels.get_fdata()).astype(int)) - {0}
        header = pydicom.dcmread(next((out / "full").iterdir()))
        corner = labels.affine @ [0, 0, 0, 1]
        np.testing.assert_allclose(corner[:3] * [-1, -1, 1], header.ImagePositionPatient, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["in", "out", "--dose", "0"], "dose 0: must be from 0.001 to 1"),
        (["in", "out", "--dose", "1.5"], "dose 1.5"),
        (["in", "out", "--dose", "nan"], "dose nan"),
        (["in", "--dose", "0.5"], "1 place given"),
        (["--phantom", "abdomen", "a", "b", "--dose", "0.5"], "2 places given"),
        (["--phantom", "head", "a", "--dose", "0.5"], "phantom 'head': must be one of"),
        (["--phantom", "water", "a", "--dose", "0.5", "--slices", "0"], "0 slices"),
        (["--phantom", "water", "a", "--dose", "0.5", "--seed", "-1"], "seed -1"),
        (["in", "out", "--dose", "0.5", "--kernel", "b31"], "kernel 'b31': must be"),
        (["missing", "out", "--dose", "0.5"], "missing: no such file"),
    ],
)
def test_wrong_arguments_are_named_and_leave_no_output(
    arguments: list[str],
    told: str,
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").symlink_to(pairs / "p1" / "full")
    assert run("simulate", *arguments) == 2
    assert told in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_arrays_that_are_not_hu(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "unit.npy", np.random.default_rng(0).uniform(0, 1, (2, 64, 64)).astype(np.float32))
    arguments = ["--dose", "0.5", "--kernel", "b30", "--mas", "100"]
    assert run("simulate", tmp_path / "unit.npy", "--out", tmp_path / "out.npy", *arguments) == 2
    assert not (tmp_path / "out.npy").exists()
