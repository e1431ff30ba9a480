"""The training and validation sets of the furnace: who is in them, that nothing is lost, and the figures of a model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.furnace import choose_slices, compare, score
from experiments.furnace.choose_slices import SliceFile
from experiments.furnace.pack_file import read_pack_file, write_pack_file
from experiments.furnace.score_teacher import score_teacher
from experiments.furnace.validation_set import ValidationSlice

from lowdose.data.pack.index import short_hash
from lowdose.data.pack.reader import Pack
from lowdose.data.pack_writer import write_pack
from lowdose.errors import IncompatiblePack
from lowdose.models.load import load_by_name
from support.shared_scans import SHARED_CT


def slices(series: str, positions: list[float], thickness: float = 3.0, patient: str = "A") -> list[SliceFile]:
    return [SliceFile(Path(f"{series}/{z}"), patient, series, z, thickness) for z in positions]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_slices, "_is_clean", lambda _: True)


@pytest.mark.usefixtures("clean")
def test_runs_of_five_neighbours_and_up_to_three_single_slices() -> None:
    chosen = choose_slices.choose_slices(slices("one", [3.0 * i for i in range(18)]))
    assert [file.position for file in chosen] == [21.0, 24.0, 27.0, 30.0, 33.0]
    chosen = choose_slices.choose_slices(slices("far", [20.0 * i for i in range(9)]))
    assert [file.position for file in chosen] == [20.0, 80.0, 140.0]
    long = choose_slices.choose_slices(slices("long", [3.0 * i for i in range(95)]))
    assert len(long) == 15
    assert len({file.position for file in long}) == 15


@pytest.mark.usefixtures("clean")
def test_all_slices_of_runs_on_request() -> None:
    positions = [*(3.0 * i for i in range(18)), *(500.0 + 20 * i for i in range(9))]
    chosen = choose_slices.choose_slices(slices("one", positions), whole_runs=True)
    assert [file.position for file in chosen] == [*positions[:18], 520.0, 580.0, 640.0]


@pytest.mark.usefixtures("clean")
def test_a_gap_ends_a_run() -> None:
    broken = [0.0, 3.0, 6.0, 9.0, 15.0, 18.0, 21.0, 24.0]
    chosen = choose_slices.choose_slices(slices("one", broken))
    assert len(chosen) == 3  # two runs of four are too short, so single slices are taken


def test_patients_held_out_are_no_material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = "1.2.3"
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"validation": {"B": [short_hash(series)]}, "test": {}}))
    monkeypatch.setattr(choose_slices, "SPLIT", split)
    files = [*slices(series, [0.0], patient="B"), *slices("4", [0.0], patient="B"), *slices("5", [0.0])]
    monkeypatch.setattr(choose_slices, "slice_files", lambda _: files)
    # Also the other series of a patient who is held out.
    assert [file.series for file in choose_slices.trainable_files([tmp_path])] == ["5"]


def test_the_lists_of_validation_and_test_do_not_overlap() -> None:
    validation, test = (choose_slices.held_out(part) for part in ("validation", "test"))
    assert len(validation) >= 12
    assert "L096" in validation
    assert list(test) == ["L143"]
    series = [item for part in (validation, test) for known in part.values() for item in known]
    assert len(set(series)) == len(series)


def test_noise_is_measured_where_tissue_is_flat() -> None:
    rng = np.random.default_rng(0)
    hu = np.full((128, 128), -1000.0, np.float32)
    hu[20:110, 20:110] = 40 + rng.normal(0, 15, (90, 90))
    assert choose_slices.noise_sd(hu) == pytest.approx(14, abs=1.5)
    assert np.isnan(choose_slices.noise_sd(np.full((64, 64), -1000.0, np.float32)))


def test_a_pack_goes_through_its_file_without_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, side in enumerate((64, 64, 80)):
        hu = rng.integers(-1024, 3071, (1, side, side)).astype(np.float32)
        np.savez(tmp_path / f"{number}.npz", hu=hu, spacing=(3.0, 0.7, 0.7))
    write_pack([tmp_path / f"{number}.npz" for number in range(3)], tmp_path / "one.pack", "none", "full")
    size = write_pack_file(tmp_path / "one.pack", tmp_path / "one.zip")
    assert size == (tmp_path / "one.zip").stat().st_size
    read_pack_file(tmp_path / "one.zip", tmp_path / "other.pack")
    one, other = Pack(tmp_path / "one.pack"), Pack(tmp_path / "other.pack")
    assert one.slices == other.slices
    assert one.series == other.series
    assert all(np.array_equal(one.image("full", i), other.image("full", i)) for i in range(3))
    content = bytearray((tmp_path / "one.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(IncompatiblePack, match="copy it again"):
        read_pack_file(tmp_path / "bad.zip", tmp_path / "bad.pack")
    assert not (tmp_path / "bad.pack").exists()


def a_slice() -> tuple[ValidationSlice, np.ndarray, np.ndarray]:
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:256, :256] - 128.0
    body = (60 + 20 * np.cos(y / 60) * np.cos(x / 60)).astype(np.float32)
    full = body + rng.normal(0, 10, body.shape).astype(np.float32)
    low = np.stack([full + rng.normal(0, 17, body.shape).astype(np.float32) for _ in range(3)])
    return ValidationSlice("A", "0.npz", 0.8, False, True), low, full


def test_the_figures_of_a_filter_are_those_of_its_definition() -> None:
    item, low, full = a_slice()
    model = load_by_name("gaussian", torch.device("cpu"))
    clean = score.denoise(model, item, low)
    figures = score.score_slice(clean, item, low, full)
    assert figures["psnr_gain"] == figures["context_gain"] > 3
    assert 0 < figures["noise_sd"] < 1
    assert figures["f_av"] < 1
    assert figures["nps_error"] > 0.5
    assert figures["tissue_bias"] < 0.5
    kept = score.lesion_figures(model, item, low, full, clean)
    assert 0.3 < kept["lesion_5mm"] < kept["lesion_8mm"] <= 1.02


def test_means_are_of_patients_not_of_slices() -> None:
    rows = [{"patient": "A", "gain": 1.0}, {"patient": "A", "gain": 3.0}, {"patient": "B", "gain": 6.0}]
    assert score.patient_means(rows) == {"gain": 4.0}
    assert score.patient_means([*rows, {"patient": "B", "gain": float("nan")}]) == {"gain": 4.0}


def test_a_difference_comes_with_its_interval_over_patients() -> None:
    rows = [{"model": m, "patient": p, "psnr_gain": g} for m, gain in (("a", 1.0), ("b", 1.5))
            for p, g in (("A", gain), ("B", gain + 1), ("C", gain + 2))]  # fmt: skip
    text = compare.comparison(rows)
    assert "| a | 2.000 |" in text
    assert "| difference | +0.500 (+0.500 to +0.500) |" in text


def test_a_variant_keeps_other_local_means() -> None:
    assert compare.load_variant("fast@0").denoiser.stated_means_px == 0  # type: ignore[attr-defined]
    assert compare.load_variant("fast").denoiser.stated_means_px is None  # type: ignore[attr-defined]


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not SHARED_CT.exists(), reason="no scans here")
def test_no_slice_of_a_patient_held_out_is_chosen() -> None:
    folders = [SHARED_CT / part for part in ("normal-dose", "more", "blocks")]
    chosen = choose_slices.choose_slices(choose_slices.trainable_files(folders))
    excluded = {series for part in ("validation", "test") for known in choose_slices.held_out(part).values()
                for series in known}  # fmt: skip
    assert len(chosen) > 150
    assert len({file.patient for file in chosen}) > 60
    assert not {short_hash(file.series) for file in chosen} & excluded


@pytest.mark.slow
def test_a_teacher_is_scored_on_the_full_dose_images(tmp_path: Path) -> None:
    y, x = np.mgrid[:192, :192] - 96.0
    disc = np.where(np.hypot(y, x) < 80, 50.0, -1000.0).astype(np.int16)
    slices = [("A", disc), ("A", disc), ("B", np.full_like(disc, -1000))]
    for number, (_, full) in enumerate(slices):
        np.savez(tmp_path / f"{number}.npz", low=np.stack([full] * 3), full=full)
    index = [
        {"patient": patient, "file": f"{number}.npz", "pixel_mm": 1.0, "real": False, "neighbours": True}
        for number, (patient, _) in enumerate(slices)
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    figures = score_teacher(tmp_path, "leda_autoencoder", 2)
    assert {"psnr", "systematic_share", "right_1", "shuffled_2", "tokens_3", "high_pass_out_high"} <= set(figures)
    assert figures["high_pass_in_low"] < figures["high_pass_in_middle"] < figures["high_pass_in_high"]
