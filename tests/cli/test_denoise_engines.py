"""``lowdose denoise`` on every engine, and in several jobs."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from lowdose import cli
from lowdose.infer.engines.select_engine import CPU


def stored(folder: Path) -> np.ndarray:
    return np.stack([dcmread(path).pixel_array for path in sorted(folder.glob("*.dcm"))]).astype(int)


@pytest.mark.parametrize("engine", ["auto", *CPU])
def test_engines_write_the_same_images(
    engine: str, model: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if engine in CPU and CPU[engine].unavailable_reason():
        pytest.skip(CPU[engine].unavailable_reason())
    source = str(pairs / "p1" / "quarter")
    plain = ["denoise", source, "--out", str(tmp_path / "plain"), "--model", str(model), "--engine", "torch"]
    assert cli.run(plain) == 0
    command = [
        "denoise",
        source,
        str(tmp_path / "out"),
        "--model",
        str(model),
        "--engine",
        engine,
        "--manifest",
        "--jobs",
        "2",
    ]
    assert cli.run(command) == 0
    one, other = stored(tmp_path / "plain"), stored(tmp_path / "out")
    assert np.abs(one - other).max() <= 1  # HU at a rounding border may fall on either side
    assert (one != other).mean() < 0.01
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["precision"] == "exact"
    assert engine in ("auto", manifest["engine"])
    assert f"({manifest['engine']}, exact)" in capsys.readouterr().err


@pytest.mark.slow
def test_fast_arithmetic_is_stated_in_the_derived_images(model: Path, pairs: Path, tmp_path: Path) -> None:
    source, out = str(pairs / "p1" / "quarter"), tmp_path / "out"
    assert (
        cli.run(["denoise", source, "--out", str(out), "--model", str(model), "--accuracy", "fast", "--manifest"]) == 0
    )
    accuracy = json.loads((out / "manifest.json").read_text())["precision"]
    told = str(dcmread(out / "00001.dcm").DerivationDescription)
    assert ("Run with fast arithmetic" in told) == (accuracy == "fast")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "abacus"], "--engine abacus: not one of auto"),
        (["--accuracy", "half"], "--accuracy half"),
        (["--jobs", "-1"], "--jobs -1"),
        (["--ray", "--series", "1.2"], "--series: is for a single series"),
        (["--ray", "--explain"], "--explain: is for a single series"),
    ],
)
def test_option_combinations_without_meaning_are_refused(
    options: list[str], told: str, model: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "denoise",
        str(pairs / "p1" / "quarter"),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(model),
        *options,
    ]
    assert cli.run(command) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["denoise", "A", "B", "--ray"], ["denoise", "A", "B", "--ray", "local"]),
        (["denoise", "A", "B", "--ray", "--jobs", "2"], ["denoise", "A", "B", "--ray", "local", "--jobs", "2"]),
        (["denoise", "A", "B", "--ray", "10.0.0.1:6379"], ["denoise", "A", "B", "--ray", "10.0.0.1:6379"]),
        (["denoise", "A", "B"], ["denoise", "A", "B"]),
    ],
)
def test_ray_alone_means_this_machine(given: list[str], meant: list[str]) -> None:
    assert cli.with_values(given) == meant
