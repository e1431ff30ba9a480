"""The leaderboard: its jobs, the figures of a model with known answers, blended twins, and the page."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.furnace.jobs import load_jobs
from experiments.furnace.validation_set import ValidationSlice
from experiments.leaderboard import compare, figures, leda_tables, organ_tables, row, spectra, table
from matplotlib.image import imread

from lowdose import recipes
from lowdose.models.classical import CLASSICAL
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.recipe import DenoiserRecipe

CPU = torch.device("cpu")
COMMON = ("batch", "patch", "dose_low", "dose_high", "full_dose_share", "bank_slices", "seed")


@pytest.mark.parametrize("name", ["jobs.toml", "jobs_gpu.toml"])
def test_all_jobs_see_the_same_patches_and_can_be_made(name: str) -> None:
    jobs = load_jobs(row.HERE / name)
    assert len({tuple(job.set.get(key) for key in COMMON) for job in jobs}) == 1
    assert len({(job.data, job.bank, "slices" in job.network) for job in jobs}) == 2  # with neighbours and without
    for job in jobs:
        recipe = recipes.get_recipe(job.recipe)
        assert isinstance(recipe, DenoiserRecipe)
        recipe.hyperparameters.with_values({key: str(value) for key, value in job.set.items()})
        parse_denoiser(job.network)
        twin = row.find_twin(jobs, job)
        assert (twin is None) == job.name.startswith(row.TWIN)
        assert twin is None or (twin.network, twin.data, twin.bank) == (job.network, job.data, job.bank)
        assert twin is None or twin.set["perceptual_weight"] == 0


def test_a_variant_has_a_name_of_its_own() -> None:
    job = load_jobs(row.JOBS)[0]
    assert row.variant(job, "cpu", None, None) == job
    fewer = row.variant(job, "cpu", 30, 8)
    assert (fewer.name, fewer.bank, fewer.steps) == (f"{job.name}_30_8", f"{job.bank}_8", 30)
    assert fewer.set["bank_slices"] == 8
    assert row.variant(job, "gpu", None, None).name == f"{job.name}_gpu"


def test_a_row_with_another_teacher_is_called_after_it() -> None:
    job = next(job for job in load_jobs(row.JOBS) if job.name == "leda")
    other = row.with_teacher(job, "autoencoder:out/vqgan/model.safetensors")
    assert (other.name, other.options["teacher"]) == ("leda_vqgan", "autoencoder:out/vqgan/model.safetensors")
    assert row.with_teacher(job, "autoencoder:plain.safetensors").name == "leda_plain"


@pytest.fixture
def validation_set(tmp_path: Path) -> Path:
    y, x = np.mgrid[:192, :192] - 96.0
    inside, items = np.hypot(y, x) < 90, []
    for number in range(2):
        rng = np.random.default_rng(number)
        body = np.where(inside, 60.0, -1000.0)
        full = body + rng.normal(0, 10, body.shape) * inside
        low = full + rng.normal(0, 17, body.shape) * inside
        np.savez(tmp_path / f"{number}.npz", low=np.stack([low.astype(np.float32)] * 3), full=full.astype(np.float32))
        items.append(asdict(ValidationSlice(f"patient {number}", f"{number}.npz", 0.8, bool(number), False)))
    (tmp_path / "index.json").write_text(json.dumps(items))
    return tmp_path


def low_dose() -> LoadedModel:
    return LoadedModel("low_dose", "", figures.Blend(CLASSICAL["gaussian"], 0.0), None, CPU)


def test_low_dose_changes_nothing(validation_set: Path) -> None:
    for found in figures.score(low_dose(), validation_set):
        assert found["noise_sd"] == pytest.approx(np.hypot(10, 17) / 10, rel=0.05)
        assert found["f_av"] == pytest.approx(1, abs=0.02)
        assert (found["bias_soft_tissue"], found["lesion_5mm"], found["lesion_15mm"]) == (0, 1, 1)
        powers = [value for key, value in found.items() if key.startswith("nps_0")]
        # Of one slice the lowest band has few waves, hence the wide limit.
        assert powers == pytest.approx([(10**2 + 17**2) / 10**2] * 6, rel=0.4)
        # The SD of squares of 9 pixels is on average that of the noise, but for 1/(4 x 80) of it.
        assert found["local_sd_error"] == pytest.approx(np.hypot(10, 17) - 10, rel=0.03)
        assert 0 < found["ssim"] < found["fsim"] < 1


@pytest.mark.slow
def test_a_twin_is_blended_to_the_noise_that_is_asked_for(validation_set: Path) -> None:
    model = load_by_name("gaussian", CPU)
    alone = figures.patient_means(figures.score(model, validation_set))["noise_sd"]
    before = figures.patient_means(figures.score(low_dose(), validation_set))["noise_sd"]
    wanted = 0.5 * (alone + before)
    strength = figures.strength_of_equal_noise(model, validation_set, wanted)
    assert 0 < strength < 1
    blended = replace(model, denoiser=figures.Blend(model.denoiser, strength))
    found = figures.patient_means(figures.score(blended, validation_set))
    assert found["noise_sd"] == pytest.approx(wanted, abs=2e-3)
    assert figures.strength_of_equal_noise(model, validation_set, 0.9 * alone) == 1
    assert figures.strength_of_equal_noise(model, validation_set, 1.1 * before) == 0


def a_row(method: str, gain: float, **more: object) -> dict[str, object]:
    rng = np.random.default_rng(1)
    slices = [
        {"patient": f"{n // 2}", "file": f"{n}", "real": n < 6, "psnr": 30 + float(rng.normal()) + gain, "ssim": 0.9,
         "bias_fat": -1.0, "bias_bone": 3.0}
        for n in range(12)
    ]  # fmt: skip
    return {
        "method": method, "budget": "cpu", "slices": slices, "seconds_a_slice": 0.5, "engine": "torch", "commit": "c",
        "parameters": 0, **more,
    }  # fmt: skip


def test_the_page_says_what_differs_and_what_has_not_been_run(tmp_path: Path) -> None:
    trained = {
        "network": "red_cnn:channels=32",
        "steps": 300,
        "budget_steps": 900,
        "set": {"bank_slices": 8},
        "budget_slices": 40,
        "wall_s": 60,
        "cpu_s": 90,
    }
    control = {"twin": "mse_red_cnn_300_8", "strength": 0.8, "slices": a_row("", 1.5)["slices"]}
    rows = [
        a_row("low_dose", 0.0),
        a_row("nlm", 1.0),
        a_row("mse_red_cnn", 2.0, **trained),
        a_row("wgan_vgg", 1.5, **trained, control=control),
    ]
    for one in rows:
        (tmp_path / f"{one['method']}-cpu.json").write_text(json.dumps(one))
    text = "\n".join(table.sections(table.load_rows(tmp_path)))
    assert "| `nlm` - `low_dose` | **+1.00 (+1.00–+1.00)** | +0.0000 (+0.0000–+0.0000) |" in text
    assert "| `wgan_vgg` - `mse_red_cnn` | **-0.50" in text
    assert "| `wgan_vgg` - 0.80 of `mse_red_cnn` | +0.00" in text
    assert "300 of 900, 8 of 40 slices" in text
    assert "Not run yet: `mse_esau_net`" in text
    assert table.value(rows[0]["slices"][0], "bias") == 2.0


def leda_row(method: str, network: str, gain: float, **more: object) -> dict[str, object]:
    made = a_row(method, gain, network=network, **more)
    for one in made["slices"]:  # type: ignore[attr-defined]
        one |= {"fsim": 0.95 + gain / 100, "nps_0.1": 1 + gain, "nps_0.5": 2.0}
    return made


def test_ledas_tables_stand_beside_the_papers_differences() -> None:
    small = "red_cnn:channels=32"
    control = {"strength": 0.9, "slices": leda_row("", small, -0.2)["slices"]}
    rows = [
        leda_row("mse_red_cnn", small, 0.0),
        leda_row("leda", small, -0.1, control=control),
        leda_row("wgan_vgg", small, -1.0),
        leda_row("leda_vqgan", small, -0.3),
    ]
    text = "\n".join(leda_tables.sections(rows))
    assert "| `leda` - `mse_red_cnn` | -0.10 (-0.10–-0.10) | +0.0000 (+0.0000–+0.0000) | -0.0010" in text
    assert "| -0.10 / +0.0074 / +0.0072 | -0.06 / +0.0015 / +0.0035 |" in text  # the paper's Tables 1 and 2
    assert "| `leda` - 0.90 of it | +0.10" in text
    assert "wgan" not in text
    assert "| `leda_vqgan` | " in text
    assert "58.17 → 28.55 / 0.8611 |" in text


def test_a_spectrum_is_the_geometric_mean_over_patients(tmp_path: Path) -> None:
    slices = [
        {"patient": "a", "nps_0.1": 1.0, "nps_0.5": 2.0, "nps_error": 9.0},
        {"patient": "b", "nps_0.1": 4.0, "nps_0.5": 2.0},
        {"patient": "c"},  # without flat regions
    ]
    assert spectra.curve(slices) == ([0.1, 0.5], pytest.approx([2.0, 2.0]))
    rows = [
        leda_row("low_dose", "", 0.0), leda_row("mse_red_cnn", "red_cnn", 0.0), leda_row("leda", "red_cnn", 1.0)
    ]  # fmt: skip
    spectra.draw_spectra(rows, tmp_path / "nps.png")
    assert imread(tmp_path / "nps.png").std() > 0


def test_what_blending_does_as_well_is_said() -> None:
    draw = np.random.default_rng(0)
    noise = draw.normal(0, 0.001, 12)
    blended = [{"patient": f"{n // 2}", "fsim": 0.9, "f_av": 0.8, "nps_error": 0.3} for n in range(12)]
    own = [one | {"fsim": 0.95 + n, "f_av": 1.25, "nps_error": 0.3 + n} for one, n in zip(blended, noise, strict=True)]
    (_, text) = table.verdicts([{"method": "m", "slices": own, "control": {"slices": blended}}])
    assert text == "- `m`: nearer in FSIM; as near in SSIM, NPS, local SD; farther in f_av."
    assert not list(table.verdicts([{"method": "m", "slices": own, "control": None}]))


def test_twins_are_compared_at_equal_cost_or_steps() -> None:
    def one(name: str, steps: int, whole: int) -> dict[str, object]:
        return a_row(name, 0.0, network="n", steps=steps, budget_steps=whole)

    assert compare.is_twin(one("mse_a", 600, 600), one("b", 100, 100))
    assert compare.is_twin(one("mse_a", 50, 600), one("b", 50, 100))
    assert not compare.is_twin(one("mse_a", 50, 600), one("b", 100, 100))
    assert not compare.is_twin(one("mse_a", 600, 600), a_row("nlm", 0.0))


def test_organs_are_compared_with_the_twin_where_enough_patients_show_them() -> None:
    noise = np.random.default_rng(0).normal(0, 0.001, 12)

    def one(method: str, liver: float) -> dict[str, object]:
        slices = [
            {"patient": f"{n // 2}", "dice_liver": liver + noise[n] * (method == "leda"), "dice": liver}
            | ({"dice_spleen": 0.5} if n == 0 else {})
            for n in range(12)
        ]
        return {"method": method, "budget": "cpu", "slices": slices}

    rows = [one("low_dose", 0.9), one("mse_red_cnn", 0.8), one("leda", 0.8), one("alden", 0.85)]
    _, text = organ_tables.sections(rows)
    assert "| liver | 6 | 0.900↑ | 0.800 | 0.800 | 0.850↑ |" in text
    assert "spleen" not in text
    assert not list(organ_tables.sections(rows[2:]))
