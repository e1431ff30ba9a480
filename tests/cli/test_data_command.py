"""``lowdose data`` and training on packs and splits, as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lowdose import cli
from lowdose.data.download import fetch as downloading
from lowdose.data.download import imaging_data_commons
from lowdose.io.dicom import new_series
from lowdose.io.dicom.derivation import new_uid
from support.scanned_patients import scan

QUICK = ["--set", "steps=2", "--set", "batch=1", "--set", "patch=32", "--set", "warmup=1"]


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(scope="module")
def mayo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases in the tree of the grand challenge."""
    root = tmp_path_factory.mktemp("mayo") / "1mm B30"
    for number, case in enumerate(("L067", "L096", "L506")):
        made = scan(number, slices=2, size=96, pixel_mm=4.0)
        study = new_uid()
        for name, volume in (("quarter", made.low), ("full", made.full)):
            folder = root / f"{name}_1mm" / case / f"{name}_1mm"
            new_series.write_new_series(volume, folder, description=name, patient=f"SECRET-{number}", study_uid=study)
    return root.parent


def test_pack_then_train_on_a_split(mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "pack", mayo, "--out", tmp_path / "mayo.pack") == 0
    assert "6 pairs, 3 series, 3 patients" in capfd.readouterr().err
    out = tmp_path / "run"
    arguments = ["--data", tmp_path / "mayo.pack", "--out", out, "--split", "mayo-2016-leda", *QUICK]
    assert run("train", "unet", *arguments) == 0
    said = capfd.readouterr().err
    assert "4 pairs of slices, 2 patients" in said
    assert "1 test cases are held out: L506" in said
    described = json.loads((out / "run.json").read_text())
    assert (described["training"]["patients"], described["validation"]["patients"]) == (2, 0)


def test_an_unknown_split_stops_before_anything_is_made(
    mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "unet", "--data", mayo, "--out", tmp_path / "run", "--split", "nobody", *QUICK) == 2
    assert "no split 'nobody'; there are mayo-2016-core-diff" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_check_prints_a_table_and_writes_json(mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", mayo, "--out", tmp_path / "check.json") == 0
    said = capfd.readouterr()
    assert len(said.out.splitlines()) >= 7
    assert "12 slices, 6 series" in said.err
    content = json.loads((tmp_path / "check.json").read_text())
    assert set(content) == {"series", "duplicates", "near_duplicates", "leaks", "unreadable"}
    assert sum(series["slices"] for series in content["series"]) == 12


def test_warnings_of_a_check_do_not_fail_it(mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.nii").write_bytes(b"no")
    assert run("data", "check", mayo, tmp_path / "bad") == 0
    assert "unreadable: " in capfd.readouterr().err
    assert run("data", "check", tmp_path / "bad") == 2
    assert run("data", "check", tmp_path / "absent") == 2


def test_splits_and_leakage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "splits") == 0
    assert "mayo-2020-ldct-bench   105 training, 30 validation, 15 test" in capfd.readouterr().out
    assert run("data", "splits", "mayo-2020-core-diff") == 0
    shown = capfd.readouterr().out
    assert "train: not published" in shown
    assert "test (10): C016" in shown
    assert run("data", "leakage", "mayo-2020-leda", "mayo-2020-ldct-bench") == 0
    assert "mayo-2020-leda trains on L107: test cases of mayo-2020-ldct-bench" in capfd.readouterr().out
    assert run("data", "leakage", "mayo-2016-leda", "mayo-2020-leda") == 0
    assert capfd.readouterr().out.startswith("no leak")
    assert run("data", "leakage") == 0
    assert len(capfd.readouterr().out.splitlines()) == 8
    assert run("data", "leakage", "mine") == 2


def test_pack_of_single_slices_is_no_training_data(
    mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "single.pack"
    assert run("data", "pack", mayo / "1mm B30" / "full_1mm", "--out", out, "--contents", "full-dose") == 0
    assert "6 full-dose slices, 3 series" in capfd.readouterr().err
    assert np.load(out / "full-96x96.npy").shape == (6, 96, 96)
    assert run("train", "unet", "--data", out, "--out", tmp_path / "run", *QUICK) == 2
    assert "contains single slices but no pairs" in capfd.readouterr().err


def test_wrong_arguments_end_with_code_2(mayo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("data", "pack", mayo, "--out", tmp_path / "a.pack", "--pairing", "guess") == 2
    assert "must be one of folders, none" in capfd.readouterr().err
    assert run("data", "pack", tmp_path / "absent", "--out", tmp_path / "a.pack") == 2
    assert list(tmp_path.iterdir()) == []


def test_download(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idc_index", None)
    assert run("data", "download", "rider_pilot", "--out", tmp_path / "out") == 2
    assert "pip install 'lowdose[download]'" in capfd.readouterr().err

    series = [downloading.RemoteSeries("P1", "1.2", f"1.2.{n}", n, "Body", 1, 500.0, "10.1/2") for n in (1, 2)]

    class Stub:
        def __init__(self, *_: object) -> None: ...

        def collections(self) -> list[str]:
            return ["rider_pilot"]

        def ct_series(self, collection: str) -> list[downloading.RemoteSeries]:
            return series

        def fetch(self, uids: list[str], folder: Path) -> str:
            for uid in uids:
                (folder / uid).mkdir()
                (folder / uid / "1.dcm").touch()
            return ""

    monkeypatch.setattr(imaging_data_commons, "ImagingDataCommons", Stub)
    assert run("data", "download", "rider_pilot", "--out", tmp_path / "out", "--dry-run") == 0
    assert "2 CT series of 1 patient, 1.0 GB" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("data", "download", "RIDER Pilot", "--out", tmp_path / "out", "--patients", "P1") == 0
    assert "2 series fetched, 0 were there" in capfd.readouterr().err
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
