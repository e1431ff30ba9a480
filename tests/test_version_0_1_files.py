"""Files that version 0.1 wrote still open, and do what they did.

``fixtures/version_0_1.tar.gz`` holds one of everything that lowdose keeps on disk, made from noisy discs of 96 x 96
pixels: a pack of training pairs, a training run on them that was interrupted at step 3 of 6 and the weights it gave
when it was not, a noise bank, a model that a user added, the manifest of a denoised file, and a denoised archive.
"""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lowdose import cli
from lowdose.archive.ledger import DONE, Ledger
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.data.pack.reader import Pack
from lowdose.io.dicom.series import DicomSource
from lowdose.models import load

PACKED = Path(__file__).parent / "fixtures" / "version_0_1.tar.gz"
TRAINING = (
    "train", "perceptual", "--network", "red_cnn:channels=4", "--device", "cpu", "--precision", "32-true",
    "--set", "patch=32", "--set", "batch=2", "--set", "perceptual_weight=0", "--set", "checkpoint_every=3",
)  # fmt: skip
KEY, SERIES = "eb4e20dc852c3257", "2.25.121237174511755542618504410556243508489"


def run(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of all files of version 0.1."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path / "files", filter="data")
    return tmp_path / "files"


@pytest.fixture
def pairs(files: Path) -> Path:
    """The pairs that the pack was made from, three slices of each patient, as the files they were."""
    for patient, first in (("a", 0), ("b", 3)):
        (files / "pairs" / patient).mkdir(parents=True)
        for packed, name in (("low", "quarter"), ("full", "full")):
            hu = np.load(files / "pairs.pack" / f"{packed}-96x96.npy")[first : first + 3]
            np.savez_compressed(files / "pairs" / patient / f"{name}.npz", hu=hu, spacing=np.array([3.0, 0.8, 0.8]))
    return files / "pairs"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The run was made on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_pack_holds_three_slices_of_each_of_two_patients(files: Path) -> None:
    pack = Pack(files / "pairs.pack")
    assert [(row.patient, row.thickness_mm) for row in pack.series] == [(1, 3.0), (2, 3.0)]
    assert [row.series for row in pack.slices] == [0, 0, 0, 1, 1, 1]
    assert list(pack.damaged()) == []
    for dose, sd in (("low", 40.0), ("full", 20.0)):
        disc = np.stack([pack.hu(dose, index)[32:64, 32:64] for index in range(6)])
        assert disc.mean() == pytest.approx(40.0, abs=2.0)
        assert disc.std() == pytest.approx(sd, rel=0.05)


def test_a_pack_trains(files: Path, tmp_path: Path) -> None:
    assert run(*TRAINING, "--data", files / "pairs.pack", "--out", tmp_path / "run", "--set", "steps=1") == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.usefixtures("one_thread")
def test_an_interrupted_run_resumes_and_ends_in_the_weights_of_an_uninterrupted_one(files: Path, pairs: Path) -> None:
    run_folder = files / "run"
    assert json.loads((run_folder / "run.json").read_text())["versions"]["lowdose"] == "0.1.0"
    assert run(*TRAINING, "--data", pairs, "--out", run_folder, "--set", "steps=6", "--resume") == 0
    resumed, finished = load_file(run_folder / "model.safetensors"), load_file(files / "finished.safetensors")
    assert resumed.keys() == finished.keys()
    for name, weights in finished.items():
        torch.testing.assert_close(resumed[name], weights, atol=1e-5, rtol=0, msg=name)
    assert csv.DictReader((run_folder / "log.csv").open()).fieldnames == ["step", "name", "value"]


def test_a_run_does_not_resume_with_another_value_of_a_renamed_setting(
    files: Path, pairs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # The setting was called recast_share in version 0.1, and was 0.5.
    other = ("--set", "steps=6", "--set", "kernel_conversion_share=0.25", "--resume")
    assert run(*TRAINING, "--data", pairs, "--out", files / "run", *other) == 2
    assert "kernel_conversion_share was 0.5, now 0.25" in capfd.readouterr().err


def test_a_noise_bank_serves_the_noise_of_its_slice(files: Path) -> None:
    bank = NoiseBank(files / "noise-bank")
    with ExitStack() as stack:
        (item,), _ = normal_dose_slices(stack, [files / "normal"])
        full = item.read()
    assert bank.known(item.key)
    inside = (slice(32, 64), slice(32, 64))
    kept = bank[item.key]
    np.testing.assert_array_equal(kept.full(inside), np.asarray(full)[inside])
    sd = [kept.noise(inside, dose, 1.0, np.random.default_rng(0)).std() for dose in (0.5, 0.25, 0.1)]
    assert 0 < sd[0] < sd[1] < sd[2]


def test_an_added_model_is_found_by_name_and_denoises(
    files: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWDOSE_MODELS", str(files / "models"))
    model = load.load_by_name("mine", torch.device("cpu"))
    assert model.name == "mine"
    source, out = pairs / "a" / "quarter.npz", tmp_path / "out.npz"
    assert run("denoise", source, "--out", out, "--model", "mine") == 0
    # All weights of this network are zero, so that it changes nothing.
    np.testing.assert_array_equal(np.load(out)["hu"], np.load(source)["hu"])


def test_a_manifest_says_what_was_done_with_which_version(files: Path) -> None:
    manifest = json.loads((files / "denoised.json").read_text())
    assert manifest["lowdose"] == "0.1.0"
    assert manifest["model"] == {"name": "gaussian", "sha256": ""}
    assert (manifest["slices"], manifest["strength"], manifest["precision"]) == (3, 1.0, "exact")
    assert set(manifest["seconds"]) == {"read", "denoise", "write", "total"}


def test_a_ledger_lists_the_finished_series_of_its_archive(files: Path) -> None:
    out = files / "archive-out"
    ledger = Ledger(out)
    (entry,) = ledger.all()
    assert (entry.key, entry.series, entry.folders) == (KEY, SERIES, ("one",))
    assert (entry.state, entry.attempts, entry.slices) == (DONE, 1, 2)
    assert ledger.read(KEY) == entry
    place = f"series/{KEY[:2]}/{KEY}"
    assert ledger.complete(place, SERIES) == 2
    assert len(DicomSource(out / place)) == 2
