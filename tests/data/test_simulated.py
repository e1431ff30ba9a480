"""Pairs simulated from normal dose: what patches are like, whole pairs by the exact simulator, and a run on them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowdose import cli, recipes
from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import CalibratedSlice, build_noise_bank
from lowdose.data.noise_bank.plan import Plan, prepare_folder
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.patches import Patches
from lowdose.data.simulated import (
    DoseDistribution,
    SimulatedSlice,
    SimulatedSlices,
    simulated_slices,
)
from lowdose.data.training_set import find_normal_dose, open_training_set
from lowdose.errors import InvalidSetting, LowDoseError, NothingToRead
from lowdose.io import run_lock
from lowdose.io.dicom import new_series
from lowdose.io.locked_folder import locked_folder
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser
from lowdose.training import denoiser_run, runner
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.simulated_pairing import SimulatedPairing
from lowdose.training.trainer import STATE_FILE
from support.scanned_patients import scan
from support.small_scanner import exposed, normal, water
from support.training_runs import StopAfter

NO_GAIN = Augmentation(gain_low=1.0, gain_high=1.0)
EXACT = RunOptions(device="cpu", precision="32-true")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    folder = tmp_path_factory.mktemp("bank") / "bank"
    slices = [normal(n) for n in range(3)]
    prepare_folder(folder, Plan({item.key: item.shape for item in slices}, 2, "water"))
    build_noise_bank(folder, slices, exposed)
    return NoiseBank(folder)


def items(count: int = 3) -> list[SimulatedSlice]:
    return simulated_slices([normal(n) for n in range(count)])[0]


def patches(bank: NoiseBank, doses: DoseDistribution, augmentation: Augmentation = NO_GAIN, seed: int = 0) -> Patches:
    return Patches(SimulatedSlices(bank, items(), doses), 32, augmentation, seed)


@given(st.floats(0.005, 1.0), st.floats(0.005, 1.0), st.integers(0, 1000))
def test_doses_lie_in_their_range(one: float, other: float, seed: int) -> None:
    doses = DoseDistribution(min(one, other), max(one, other), full=0.0)
    dose, flux = doses.draw(np.random.default_rng(seed))
    assert doses.low * (1 - 1e-12) <= dose <= min(1.0, doses.high * (1 + 1e-12))
    assert doses.flux_low <= flux <= doses.flux_high


def test_doses_are_log_uniform_with_a_share_of_full_dose() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([DoseDistribution(full=0.1).draw(rng) for _ in range(4000)])
    assert np.mean(drawn[:, 0] == 1.0) == pytest.approx(0.1, abs=0.02)
    some = np.log(drawn[drawn[:, 0] < 1, 0]) / np.log(0.05)
    np.testing.assert_allclose(np.quantile(some, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.04)
    assert np.median(drawn[:, 1]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("doses", [DoseDistribution(full=1.0), DoseDistribution(low=1.0, high=1.0, full=0.0)])
def test_at_full_dose_input_and_target_are_one_image(bank: NoiseBank, doses: DoseDistribution) -> None:
    sampled = patches(bank, doses)
    for index in range(30):
        low, full, dose = sampled[index].values()
        assert dose == 1.0
        assert torch.equal(low, full)
        assert full.std() >= 0


def test_only_the_input_gets_noise_and_more_at_lower_dose(bank: NoiseBank) -> None:
    window = (slice(30, 66), slice(30, 66))
    levels = []
    for dose in (0.05, 0.2, 0.8):
        slices = SimulatedSlices(bank, items(), DoseDistribution(dose, dose, 0.0, 1.0, 1.0))
        pairs = [slices[0].crop(window, np.random.default_rng(n)) for n in range(10)]
        for pair in pairs:
            np.testing.assert_array_equal(pair.full[0], water()[window])
            assert pair.dose == pytest.approx(dose)
        levels.append(np.std([pair.low - pair.full for pair in pairs]))
    assert levels[0] > 1.8 * levels[1] > 1.8 * 1.8 * levels[2] > 0


def test_fewer_photons_are_noise_of_full_dose_too(bank: NoiseBank) -> None:
    """Half of the photons, of which a quarter: the target is a scan at 1/2, the input one at 1/8 of this dose."""
    window = (slice(30, 66), slice(30, 66))

    def spread(dose: float, flux: float) -> tuple[float, float]:
        slices = SimulatedSlices(bank, items(), DoseDistribution(dose, dose, 0.0, flux, flux))
        pairs = [slices[0].crop(window, np.random.default_rng(n)) for n in range(60)]
        images = [pair.low for pair in pairs], [pair.full for pair in pairs]
        low, full = (float(np.std([image - water()[window] for image in made])) for made in images)
        return low, full

    low, full = spread(0.25, 0.5)
    assert full == pytest.approx(spread(0.5, 1.0)[0], rel=0.1)
    assert low == pytest.approx(spread(0.125, 1.0)[0], rel=0.1)


@pytest.mark.parametrize(("dose", "flux", "told"), [(0.25, 0.5, 0.25), (0.25, 1.0, 0.25), (0.25, 3.0, 0.5)])
def test_the_stated_dose_explains_the_noise_level(bank: NoiseBank, dose: float, flux: float, told: float) -> None:
    """Three times the photons that full dose's own noise shows: a quarter of them adds as much as a half would."""
    slices = SimulatedSlices(bank, items(), DoseDistribution(dose, dose, 0.0, flux, flux))
    assert slices[0].crop((slice(30, 66), slice(30, 66)), np.random.default_rng(0)).dose == pytest.approx(told)


def test_patches_depend_on_seed_and_number_only(bank: NoiseBank) -> None:
    one, again, other = (patches(bank, DoseDistribution(), seed=seed) for seed in (4, 4, 5))
    backwards = {index: again[index] for index in reversed(range(12))}
    for index in range(12):
        for mine, theirs in zip(one[index].values(), backwards[index].values(), strict=True):
            assert torch.equal(mine, theirs)
    assert not torch.equal(one[3]["low"], other[3]["low"])
    alone = list(batches(one, 4, 0, 3))
    for number, batch in enumerate(batches(one, 4, 0, 3, workers=2)):
        assert torch.equal(batch.low, alone[number].low)
        assert torch.equal(batch.full, alone[number].full)


def test_slices_without_a_pixel_size_are_left_out() -> None:
    unsized = [replace(normal(n), pixel_mm=None) for n in (1, 2)]
    kept, told = simulated_slices([normal(0), *unsized])
    assert [item.key for item in kept] == ["key0"]
    assert told == ["series1: 2 slices without a pixel size, so no rays can be drawn (left out)"]
    with pytest.raises(NothingToRead, match="no slice states its pixel size"):
        simulated_slices(unsized)


def small(**changes: object) -> DenoiserRecipe:
    tiny = {"steps": 4, "batch": 2, "patch": 32, "warmup": 1, "validate_every": 2, "checkpoint_every": 2}
    recipe = recipes.get_recipe("unet")
    network = replace(recipe.network, settings={"width": 4, "levels": 2})
    return replace(recipe, network=network, hyperparameters=DenoiserHyperparameters(**{**tiny, **changes}))  # type: ignore[arg-type]


def go(
    folder: Path,
    slices: Sequence[NormalDoseSlice],
    options: RunOptions = EXACT,
    said: list[str] | None = None,
    bank: Path | None = None,
    **changes: object,
) -> bool:
    say = [].append if said is None else said.append
    source = SimulatedPairing(exposed, "water", bank)
    return denoiser_run.train_denoiser(
        "unet", small(**changes), simulated_slices(slices)[0], folder, options, say, lambda *_: None, source
    )


def test_a_run_waits_for_another_one_that_builds_its_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "POLL_S", 0.01)
    bank, said = tmp_path / "bank", list[str]()
    with ExitStack() as other:
        other.enter_context(locked_folder(bank, ()))
        threading.Timer(1.0, other.pop_all().close).start()
        assert go(tmp_path / "run", people(), said=said, bank=bank)
    assert any("bank: a run on" in text and "waiting for its end" in text for text in said)
    assert not (bank / ".lock").exists()
    assert (bank / "plan.json").exists()


def people() -> list[NormalDoseSlice]:
    return [normal(n, patient=1 + n // 2) for n in range(6)]


@pytest.mark.parametrize(
    "terms", [{}, {"spectrum_weight": 1e-7, "lesion_share": 1.0, "lesion_weight": 0.5, "accumulate": 2}]
)
def test_a_recipe_that_needs_the_dose_trains(tmp_path: Path, terms: dict[str, float]) -> None:
    recipe = recipes.get_recipe("noise_free")
    tiny = {"steps": 2, "batch": 2, "patch": 32, "warmup": 1, **terms}
    recipe = replace(
        recipe,
        network=replace(recipe.network, settings={"width": 4}),
        hyperparameters=replace(recipe.hyperparameters, **tiny),
    )
    found, source = simulated_slices(people())[0], SimulatedPairing(exposed, "water", None)
    assert denoiser_run.train_denoiser(
        "noise_free", recipe, found, tmp_path / "run", EXACT, print, lambda *_: None, source
    )
    model = checkpoint.load_denoiser(str(tmp_path / "run" / MODEL_FILE))
    assert model.denoiser.noise_free
    assert model.training["recipe"] == "noise_free"
    log = (tmp_path / "run" / "log.csv").read_text()
    assert ("denoiser/noise_power_spectrum" in log) == ("spectrum_weight" in terms)
    assert ("denoiser/lesion_contrast" in log) == ("lesion_weight" in terms)


def test_a_weight_of_lesions_needs_lesions() -> None:
    recipe = recipes.get_recipe("noise_free")
    with pytest.raises(InvalidSetting, match="lesion_weight=2: no patch has a lesion with lesion_share=0"):
        recipe.hyperparameters.with_values({"lesion_weight": "2"})
    both = {"lesion_weight": "2", "lesion_share": "0.3"}
    assert recipe.hyperparameters.with_values(both).lesion_weight == 2


def test_patches_too_small_for_a_spectrum() -> None:
    recipe = recipes.get_recipe("noise_free")
    small = recipe.hyperparameters.with_values({"patch": "24", "spectrum_weight": "1"})
    with pytest.raises(InvalidSetting, match="patch=24: spectrum_weight=1 needs patches of at least 32"):
        recipe.method(Denoiser(recipe.network, recipe.scale), small, {})


def test_a_run_with_lesions_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(runner, "GracefulStop", StopAfter(2))
        assert not go(tmp_path / "parts", people(), bank=tmp_path / "bank", lesion_share=1.0)
    resumed = replace(EXACT, resume=True)
    with pytest.raises(InvalidSetting, match=r"lesion_share was 1\.0, now 0\.5"):
        go(tmp_path / "parts", people(), resumed, bank=tmp_path / "bank", lesion_share=0.5)
    assert go(tmp_path / "parts", people(), resumed, bank=tmp_path / "bank", lesion_share=1.0)
    assert go(tmp_path / "whole", people(), bank=tmp_path / "bank", lesion_share=1.0)
    assert go(tmp_path / "without", people(), bank=tmp_path / "bank")
    whole, parts, without = (
        torch.load(tmp_path / name / STATE_FILE, weights_only=True)["modules"]["denoiser"]
        for name in ("whole", "parts", "without")
    )
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    assert not all(torch.equal(value, without[name]) for name, value in whole.items())


def test_a_run_resumes_exactly_and_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert go(tmp_path / "whole", people(), said=said)
    assert said[-1].startswith("noise bank: slice 4/4  0 min 00 s left")

    class Early:
        requested = True

        def __enter__(self) -> Early:
            return self

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(runner, "GracefulStop", Early)
        assert not go(tmp_path / "parts", people())
    (tmp_path / "parts" / "noise-bank" / "built-0.jsonl").unlink()
    assert go(tmp_path / "parts", people(), replace(EXACT, resume=True))
    whole, parts = (torch.load(tmp_path / n / STATE_FILE, weights_only=True) for n in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    for name, value in whole["modules"]["denoiser"].items():
        assert torch.equal(value, parts["modules"]["denoiser"][name])
    settings = json.loads((tmp_path / "whole" / "run.json").read_text())["settings"]
    assert (settings["pairing"], settings["dose_low"], settings["flux_high"]) == ("simulated", 0.05, 2.0)
    assert "gain_low" not in settings
    model = checkpoint.load_denoiser(str(tmp_path / "whole" / MODEL_FILE))
    assert model.training["dose_high"] == 1.0
    assert model.domain.pixel_mm == (1.25, 2.5)  # half of the patches are recast to half the side
    assert "validation/psnr_gain" in (tmp_path / "whole" / "log.csv").read_text()


def test_runs_share_a_bank_and_some_slices_suffice(tmp_path: Path) -> None:
    said: list[str] = []
    assert go(tmp_path / "one", people(), bank=tmp_path / "bank")
    assert go(tmp_path / "two", people(), bank=tmp_path / "bank", said=said, seed=3, bank_slices=2)
    assert not any(text.startswith("noise bank") for text in said)
    assert not (tmp_path / "two" / "noise-bank").exists()
    assert checkpoint.load_denoiser(str(tmp_path / "two" / MODEL_FILE)).training["slices"] == 2
    go(tmp_path / "three", people(), bank_slices=2)
    assert len(NoiseBank(tmp_path / "three" / "noise-bank").plan.slices) == 2


def test_unusable_slices_are_told_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    flat = np.full((96, 96), 40.0, np.float32)
    said: list[str] = []
    mixed = [*people(), normal(7, flat), normal(8, flat), normal(9, size=40), normal(10, flat, patient=3)]
    assert go(tmp_path / "mixed", mixed, said=said)
    assert sum("no air around" in text and text.endswith("(2 left out)") for text in said) == 1
    assert any("left out: 1 slice of less than 48 x 48 pixels" in text for text in said)
    assert any(text.endswith("(left out of validation)") for text in said)
    with pytest.raises(NothingToRead, match=r"none of 1 slice can be simulated, for example: series1: .*no air"):
        go(tmp_path / "none", [normal(0, flat)])
    with pytest.raises(InvalidSetting, match=r"slices of .* pixels are too small for patches of 32"):
        go(tmp_path / "small", [normal(0, size=40)])


def test_series_that_cannot_be_calibrated(tmp_path: Path) -> None:
    def rule(slices: Sequence[NormalDoseSlice]) -> list[CalibratedSlice]:
        if slices[0].patient != 1:
            raise LowDoseError(f"{slices[0].series}: no noise to measure")
        return exposed(slices)

    said: list[str] = []
    source = SimulatedPairing(rule, "water")
    data = simulated_slices(people())[0]
    assert denoiser_run.train_denoiser("unet", small(), data, tmp_path, EXACT, said.append, lambda *_: None, source)
    assert "warning: series2: no noise to measure (2 left out)" in said
    assert "warning: series3: no noise to measure (left out of validation)" in said


@pytest.mark.parametrize(
    "wrong", [{"dose_low": "0"}, {"dose_low": "1.2"}, {"dose_high": "-1"}, {"dose_low": "0.5", "dose_high": "0.1"},
              {"flux_low": "3"}, {"full_dose_share": "2"}, {"realisations": "0"}, {"dose_low": "nan"}]
)  # fmt: skip
def test_impossible_numbers(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        DenoiserHyperparameters().with_values(wrong)


@pytest.mark.slow
def test_train_command_with_simulated_pairs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for patient in (1, 2):
        folder = tmp_path / "in" / f"p{patient}" / "full"
        new_series.write_new_series(
            scan(patient, 1, 96, 4.0).full, folder, description="full", patient=f"SECRET-{patient}"
        )
    quick = ["--set", "steps=2", "--set", "batch=1", "--set", "patch=32", "--set", "warmup=1"]

    def train(name: str, *more: object) -> int:
        arguments = ["train", "unet", "--out", tmp_path / name, "--pairing", "simulated", *quick, *more]
        return cli.run([str(argument) for argument in arguments])

    assert train("run", "--data", tmp_path / "in", "--set", "dose_low=0.1", "--bank", tmp_path / "bank") == 0
    said = capfd.readouterr().err
    assert "2 slices of normal dose, 2 patients" in said
    assert "noise bank: slice 1/1" in said
    assert cli.run(["data", "pack", str(tmp_path / "in"), "--out", str(tmp_path / "in.pack"), "--pairing", "none"]) == 0
    with ExitStack() as stack:
        folder, packed = (
            open_training_set(stack, [tmp_path / n], find=find_normal_dose).items for n in ("in", "in.pack")
        )
        for one, other in zip(folder, packed, strict=True):
            np.testing.assert_array_equal(one.read()[1], other.read()[1])
    assert train("gain", "--data", tmp_path / "in", "--set", "gain_low=0.5") == 2
    assert "gain_low=0.5: is for --pairing folders, learned-noise" in capfd.readouterr().err
    assert train("other", "--data", tmp_path / "in", "--pairing", "guess") == 2
    assert "must be one of folders, gaussian-noise, learned-noise, none" in capfd.readouterr().err
    assert train("other", "--data", tmp_path / "in", "--pairing", "folders", "--bank", tmp_path / "bank") == 2
    assert train("again", "--data", tmp_path / "in", "--bank", tmp_path / "bank", "--set", "realisations=3") == 2
    assert "realisations: 2, not 3" in capfd.readouterr().err
