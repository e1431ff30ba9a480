"""The command line as a user meets it: what it makes, what it says, how it ends."""

import csv
import gc
import json
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from lowdose import cli
from lowdose.errors import InvalidSetting
from lowdose.evaluation import images as evaluation
from lowdose.infer import pipeline
from lowdose.metrics.fidelity_reference import FidelityReference
from lowdose.models import checkpoint
from support.signals import heed_signals, signal_when, wait_for


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


def everything_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_denoise_writes_series_preview_and_manifest(
    pairs: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = pairs / "p1" / "quarter", tmp_path / "out"
    assert run("denoise", source, "--out", out, "--model", model, "--preview", "--manifest") == 0
    files = everything_in(out)
    assert {"preview.png", "manifest.json"} < set(files)
    assert len(files) == 5
    said = capfd.readouterr().err
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["slices"] == 3
    assert len(manifest["model"]["sha256"]) == 64
    assert manifest["input"]["instances"]
    assert set(manifest["seconds"]) == {"read", "denoise", "write", "total"}
    # The phantom is noisier than the tiny model's stated range: said, recorded, and written into the images.
    image = pydicom.dcmread(next(p for p in out.iterdir() if p.suffix == ".dcm"))
    for text in (said, " ".join(manifest["warnings"]), image.DerivationDescription):
        assert "outside the model's training range" in text
    assert image.ImageType[0] == "DERIVED"
    assert (out / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_no_patient_data_leaves_the_images(
    pairs: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, report, named = tmp_path / "out", tmp_path / "report", tmp_path / "data" / "NAME^OF^PATIENT"
    shutil.copytree(pairs / "p1", named)
    assert run("denoise", pairs / "p1" / "quarter", "--out", out, "--model", model, "--preview", "--manifest") == 0
    assert run("evaluate", "--data", named.parent, "--model", model, "--out", report) == 0
    said = capfd.readouterr()
    study = pydicom.dcmread(next(out.glob("*.dcm"))).StudyInstanceUID
    page = (report / "index.html").read_text()
    texts = [said.out, said.err, page, (report / "table.csv").read_text(), (report / "summary.json").read_text()]
    texts += [(out / "manifest.json").read_text(), (out / "preview.png").read_bytes().decode("latin1")]
    for text in texts:
        assert "SECRET" not in text
    for text in (said.out, said.err, page):
        assert study not in text
    # Folders are often named after patients: the terminal says which is which, the files do not.
    for file in report.iterdir():
        assert "NAME^OF^PATIENT" not in file.read_text()
    assert not re.search(r"(src|href)=[\"']?https?:", page)


@pytest.mark.parametrize("kind", ["zip", "nii.gz", "npz"])
def test_denoise_takes_zip_nifti_and_numpy(kind: str, pairs: Path, model: Path, tmp_path: Path) -> None:
    source = tmp_path / f"input.{kind}"
    hu = np.random.default_rng(0).normal(0, 40, (2, 40, 40)).astype(np.float32)
    hu[:, :10] = -1000
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for file in (pairs / "p1" / "quarter").iterdir():
                archive.write(file, file.name)
    elif kind == "npz":
        np.savez(source, hu=hu, spacing=np.array([3.0, 0.8, 0.8]))
    else:
        import nibabel

        nibabel.save(nibabel.Nifti1Image(np.rint(hu.T).astype(np.int16), np.eye(4)), source)
    out = tmp_path / ("out" if kind == "zip" else f"out.{kind}")
    assert run("denoise", source, "--out", out, "--model", model, "--preview", "--manifest") == 0
    assert out.exists()
    assert len([name for name in everything_in(tmp_path) if name.endswith(".json")]) == 1


def test_strength_zero_is_the_input_bit_for_bit(pairs: Path, model: Path, tmp_path: Path) -> None:
    source = pairs / "p2" / "quarter"
    assert run("denoise", source, "--out", tmp_path / "out", "--model", model, "--strength", 0) == 0
    before, after = (
        {d.SliceLocation if "SliceLocation" in d else d.ImagePositionPatient[2]: d.pixel_array for d in found}
        for found in (
            [pydicom.dcmread(p) for p in folder.iterdir() if p.suffix == ".dcm"]
            for folder in (source, tmp_path / "out")
        )
    )
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[z], after[z]) for z in before)


def test_evaluate_writes_table_summary_and_page(pairs: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    arguments = ["--data", pairs, "--model", model, "--model", "gaussian", "--out", out]
    assert run("evaluate", *arguments, "--profile", "leda", "--window", "-200", "300") == 0
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert {row["image"] for row in rows} == {"low dose", "tiny", "gaussian", "full dose"}
    assert {row["patient"] for row in rows} == {"1", "2"}
    psnr = [row for row in rows if row["metric"] == "psnr"]
    assert len(psnr) == 6 * 3
    assert all("[-200, 300] HU" in row["definition"] for row in psnr)
    summary = json.loads((out / "summary.json").read_text())
    found = next(s for s in summary["summaries"] if (s["case"], s["image"], s["metric"]) == ("all", "tiny", "ssim"))
    assert (found["n_slices"], found["n_patients"], found["interval_of"]) == (6, 2, "slices")
    page = (out / "index.html").read_text()
    assert "slices only" in page
    assert page.count("data:image/png;base64") == 6


@pytest.mark.slow
def test_train_then_use_the_model(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    numbers = ["steps=2", "batch=1", "patch=32", "warmup=1"]
    assert run("train", "unet", "--data", pairs, "--out", out, *(x for n in numbers for x in ("--set", n))) == 0
    described = json.loads((out / "run.json").read_text())
    assert (described["training"]["patients"], described["validation"]["patients"]) == (1, 1)
    assert run("denoise", pairs / "p1" / "full", "--out", tmp_path / "clean", "--model", out / "model.safetensors") == 0


def bad_inputs(tmp_path: Path, pairs: Path) -> dict[str, tuple[list[object], str]]:
    """Name -> (arguments after 'denoise', what the message must contain)."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.dcm").write_text("hello")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 nonsense")
    with zipfile.ZipFile(tmp_path / "traversal.zip", "w") as archive:
        archive.writestr("../../evil.dcm", b"x")
    file = next((pairs / "p1" / "quarter").iterdir())
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "cut.dcm").write_bytes(file.read_bytes()[:-1000])
    other = pydicom.dcmread(file)
    other.Modality = "MR"
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    (tmp_path / "mr").mkdir()
    other.save_as(tmp_path / "mr" / "mr.dcm")
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    good, out = pairs / "p1" / "quarter", tmp_path / "out"
    return {
        "missing": ([tmp_path / "nowhere", out], "nowhere"),
        "empty": ([tmp_path / "empty", out], "empty"),
        "no DICOM": ([tmp_path / "text.dcm", out], "text.dcm"),
        "unreadable zip": ([tmp_path / "broken.zip", out], "broken.zip"),
        "traversal": ([tmp_path / "traversal.zip", out], "evil"),
        "truncated": ([tmp_path / "short", out], "cut.dcm"),
        "not CT": ([tmp_path / "mr", out], "MR"),
        "several series": ([pairs, out], "--series"),
        "unknown series": ([good, out, "--series", "1.2.3"], "1.2.3"),
        "pickle": ([good, out, "--model", tmp_path / "model.pt"], "safetensors"),
        "no model": ([good, out, "--model", "wonder"], "wonder"),
        "strength": ([good, out, "--strength", "2"], "between 0"),
        "device": ([good, out, "--device", "tpu"], "tpu"),
        "option": ([good, out, "--no-such-option"], ""),
        "output taken": ([good, tmp_path / "taken"], "not empty"),
        "output in input": ([good, good / "out"], "inside the input"),
    }


def test_bad_input_ends_with_code_2_a_reason_and_no_output(
    pairs: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, (arguments, reason) in bad_inputs(tmp_path, pairs).items():
        before = everything_in(tmp_path) + everything_in(pairs)
        extra = [] if "--model" in arguments else ["--model", model]
        assert run("denoise", arguments[0], "--out", *arguments[1:], *extra) == 2, name
        said = capfd.readouterr().err
        assert reason in said, name
        assert "Traceback" not in said, name
        assert everything_in(tmp_path) + everything_in(pairs) == before, name


def test_internal_errors_and_interrupts_leave_no_output(
    pairs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for error, code, words in ((ZeroDivisionError("x"), 1, "our fault"), (KeyboardInterrupt(), 130, "interrupted")):

        def fail(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(pipeline, "denoise_slices", fail)
        assert run("denoise", pairs / "p1" / "quarter", "--out", tmp_path / "out", "--model", model) == code
        said = capfd.readouterr().err
        assert words in said
        assert "Traceback" not in said
        assert everything_in(tmp_path) == []


def test_two_files_of_one_name_are_two_models(pairs: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tiny.safetensors"
    other.parent.mkdir()
    loaded = checkpoint.load_denoiser(str(model))
    torch.nn.init.normal_(loaded.denoiser.network.out.weight, std=0.5)
    checkpoint.save_denoiser(other, loaded.denoiser, loaded.domain, {})
    arguments = ["--data", pairs / "p1", "--model", model, "--model", other, "--model", model]
    assert run("evaluate", *arguments, "--out", tmp_path / "report", "--strength", 0.5) == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert len(set(summary["models"].values())) == len(summary["models"]) == 2
    means = {s["image"]: s["mean"] for s in summary["summaries"] if s["metric"] == "rmse" and s["case"] == "all"}
    assert len(set(means.values())) == 3
    assert summary["strength"] == 0.5


def test_evaluate_leaves_out_slices_that_cannot_be_measured_and_names_them(
    pairs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def measure(*arguments: object) -> FidelityReference:
        calls.append(1)
        if len(calls) == 1:
            raise InvalidSetting("constant reference")
        return FidelityReference(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "FidelityReference", measure)
    assert run("evaluate", "--data", pairs / "p1", "--model", model, "--out", tmp_path / "report") == 0
    assert "is left out: constant reference" in capfd.readouterr().err
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["summaries"][0]["n_slices"] == 2


signals = pytest.fixture(name="signals")(heed_signals)


def long_denoising(pairs: Path, folder: Path) -> tuple[list[str], Callable[[], bool]]:
    """A command that takes seconds, and a function that tells whether it is in the middle of them."""
    source = folder / "in"
    source.mkdir()
    for index, file in enumerate(sorted((pairs / "p1" / "quarter").iterdir()) * 40):
        (source / f"{index}.dcm").write_bytes(file.read_bytes())
    command = ["denoise", str(source), "--out", str(folder / "out"), "--model", "nlm"]
    return command, lambda: bool(list(folder.glob(".out.partial-*")))


@pytest.mark.slow
def test_a_signal_to_the_process_leaves_no_output(pairs: Path, tmp_path: Path) -> None:
    command, started = long_denoising(pairs, tmp_path)
    main = [sys.executable, "-c", "from lowdose.cli import main; main()"]
    process = subprocess.Popen([*main, *command], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(started)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_every_signal_that_asks_to_end_leaves_no_output(
    number: signal.Signals, pairs: Path, tmp_path: Path, signals: None, capfd: pytest.CaptureFixture[str]
) -> None:
    command, started = long_denoising(pairs, tmp_path)
    with pytest.raises(SystemExit) as end, signal_when(started, number):
        cli.main(command)
    gc.unfreeze()  # main freezes what is there as it ends
    assert end.value.code == 130
    assert "Traceback" not in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
def test_an_interrupted_training_ends_with_130(
    pairs: Path, tmp_path: Path, signals: None, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    numbers = ["steps=100000", "batch=1", "patch=32", "checkpoint_every=1"]
    with signal_when((out / "state.pt").exists, signal.SIGINT):
        assert run("train", "unet", "--data", pairs, "--out", out, *(x for n in numbers for x in ("--set", n))) == 130
    assert "--resume" in capfd.readouterr().err
    assert not list(out.glob(".*"))


def test_evaluate_refuses_half_pairs_and_unknown_profiles(pairs: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert run("evaluate", "--low", pairs / "p1" / "quarter", "--out", out, "--model", model) == 2
    assert run("evaluate", "--data", pairs, "--profile", "best", "--out", out, "--model", model) == 2
    assert run("evaluate", "--data", pairs, "--window", "5", "5", "--out", out, "--model", model) == 2
    assert not out.exists()


def test_installed_command_says_its_version_and_starts_without_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "from lowdose.cli import main; main(['--version'])"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert result.stdout.startswith("lowdose ")
    assert " torch" not in result.stderr


@pytest.mark.slow
def test_demo_writes_its_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--out", tmp_path / "demo", "--slices", 1) == 0
    said = capfd.readouterr().err
    assert "warning" not in said
    page = tmp_path / "demo" / "report" / "index.html"
    assert str(page) in said
    assert page.stat().st_size > 100_000
    assert run("demo", "--out", tmp_path / "demo") == 2
    assert run("demo", "--out", tmp_path / "other", "--seed", "-1") == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "line"), [("no word", "case 1: no word is certain here"), ("liver", "fast  layer 1: liver")]
)
def test_a_slice_without_certain_words_is_said_in_one_line(
    words: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from lowdose.api import explanation
    from lowdose.cli.evaluate_command import _image_lines

    monkeypatch.setattr(explanation, "frequent_words", lambda said: [f"fast  layer 1: {words}"] * len(said))
    report = SimpleNamespace(table=list, readings=[SimpleNamespace(case="case 1", words={"low": 0, "fast": 0})])
    said = _image_lines(report, None)  # type: ignore[arg-type]
    assert said[-1] == line
    assert len(said) == (1 if words == "no word" else 3)
