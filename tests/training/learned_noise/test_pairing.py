"""Pseudo-pairs: noise on normal-dose slices, reproducible and of known dose, for every recipe; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

import lowdose
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.simulated import simulated_slices
from lowdose.data.slice_context import StackPosition
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.image import HU
from lowdose.networks.noise_vae import NoiseDecoder, NoiseSettings, TrainingNoise, serialise_noise_model
from lowdose.training.learned_noise.added_noise import GaussianNoise
from lowdose.training.learned_noise.conditions import CONDITIONS
from lowdose.training.learned_noise.pairing import NoisyPairing, NoisySlices
from lowdose.training.recipe import DenoiserHyperparameters
from support.noisy_series import PIXEL_MM, SIDE, disc, save_series, texture

WINDOW = (slice(40, 104), slice(40, 104))
TINY = ["steps=2", "batch=2", "patch=32", "validation_patients=0", "checkpoint_every=1"]


def clean(level: float) -> HU:
    return disc(level) + 5 * texture(int(level))


def items(count: int = 3, overlap: float = 0.0) -> list[NormalDoseSlice]:
    return [
        NormalDoseSlice(
            1, f"{number}", "series", (SIDE, SIDE), (PIXEL_MM, PIXEL_MM), 3.0, None, None, None, None,
            lambda level=number: clean(level),  # type: ignore[misc]
            stack_position=StackPosition("stack", number, overlap),
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.fixture
def noise_model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    known = TrainingNoise(25.0, PIXEL_MM, torch.full((CONDITIONS,), -2.0), torch.full((CONDITIONS,), 4.0))
    folder = tmp_path / "noise"
    folder.mkdir()
    model = NoiseDecoder(NoiseSettings(2, 5, CONDITIONS), known)
    (folder / "model.safetensors").write_bytes(serialise_noise_model(model, {}))
    return folder


def test_full_dose_is_the_slice_and_low_dose_has_the_noise_and_the_dose_of_both() -> None:
    slices = NoisySlices(simulated_slices(items())[0], GaussianNoise(20.0))
    source = slices[1]
    a, b, other = (source.crop(WINDOW, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.low, b.low)
    assert not np.array_equal(a.low, other.low)
    np.testing.assert_allclose(a.full[0], np.round(clean(1))[WINDOW], atol=0.51)
    assert (a.low - a.full).std() == pytest.approx(20, rel=0.03)
    assert a.dose == pytest.approx(5**2 / (5**2 + 20**2), rel=0.25)


def test_the_strength_of_patches_varies_and_their_dose_with_it() -> None:
    source = NoisySlices(simulated_slices(items())[0], GaussianNoise(20.0), gains=(0.5, 1.5))[1]
    crops = [source.crop(WINDOW, np.random.default_rng(seed)) for seed in range(12)]
    sds = np.array([(crop.low - crop.full).std() for crop in crops])
    assert sds.min() < 14
    assert sds.max() > 26
    assert sds.min() > 9.5
    assert sds.max() < 30.6
    own = source.own_variance
    np.testing.assert_allclose([crop.dose for crop in crops], own / (own + sds**2), rtol=0.1)


@pytest.mark.parametrize("overlap", [0.0, 0.6])
def test_neighbours_share_noise_as_far_as_slices_overlap(overlap: float) -> None:
    slices = NoisySlices(simulated_slices(items(5, overlap))[0], GaussianNoise(20.0), context=1)
    low, full, _ = slices[0].crop(WINDOW, np.random.default_rng(0))
    noise = (low - full).reshape(3, -1)
    assert noise.std(axis=1) == pytest.approx(20, rel=0.04)
    assert np.corrcoef(noise)[0, 1] == pytest.approx(overlap, abs=0.06)


def test_validation_slices_have_noise_by_seed_and_key() -> None:
    pairing = NoisyPairing("gaussian-noise", GaussianNoise(20.0), "")
    check, h = simulated_slices(items())[0], DenoiserHyperparameters(patch=64)
    first, again = (pairing.held_out(check, h, 0, lambda _: None)[0][0].read() for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] - first[1]).std() == pytest.approx(20, rel=0.03)
    other = pairing.held_out(check, DenoiserHyperparameters(seed=1), 0, lambda _: None)[0][0].read()
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("pairing", ["learned-noise", "gaussian-noise", "poisson-noise"])
@pytest.mark.parametrize("recipe", ["unet", "noise_free"])
def test_recipes_train_on_them_and_resume_exactly(tmp_path: Path, noise_model: Path, pairing: str, recipe: str) -> None:
    normal = save_series(tmp_path / "normal", [clean(level) for level in (20, 40)])
    settings = {"recipe": recipe, "data": normal, "pairing": pairing, "noise": noise_model, "device": "cpu"}
    network = {"network": "unet:width=4"} if recipe == "noise_free" else {}
    whole = lowdose.train(**settings, **network, out=tmp_path / "whole", set=TINY)
    assert whole.complete
    assert whole.to_dict()["settings"]["noise"] == lowdose_sha(noise_model)
    other = tmp_path / "other.safetensors"
    other.write_bytes(serialise_noise_model(NoiseDecoder(NoiseSettings(2, 5, CONDITIONS)), {}))
    with pytest.raises(InvalidSetting, match="noise"):
        lowdose.train(**{**settings, "noise": other}, **network, out=tmp_path / "whole", set=TINY, resume=True)


def lowdose_sha(folder: Path) -> str:
    from hashlib import sha256

    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"pairing": "learned-noise"}, InvalidSetting, "needs a noise model, --noise NOISE"),
        ({"pairing": "simulated", "noise": "model"}, InvalidSetting, "--noise .*: is for --pairing learned-noise"),
        ({"noise": "model"}, InvalidSetting, "--noise .*: is for --pairing learned-noise"),
        ({"pairing": "learned-noise", "noise": "model", "bank": "bank"}, InvalidSetting, "--bank bank: is for"),
        ({"pairing": "learned-noise", "noise": "nowhere"}, IncompatibleCheckpoint, "nowhere"),
    ],
)
def test_a_noise_model_is_asked_for_where_it_is_needed_and_nowhere_else(
    tmp_path: Path, noise_model: Path, options: dict[str, str], error: type[Exception], words: str
) -> None:
    normal = save_series(tmp_path / "normal", [clean(20)])
    given = {key: noise_model if value == "model" else value for key, value in options.items()}
    with pytest.raises(error, match=words):
        lowdose.train("unet", tmp_path / "run", data=normal, set=TINY, device="cpu", **given)
    assert not (tmp_path / "run").exists()


def test_a_noise_model_is_no_option_of_other_recipes(tmp_path: Path, noise_model: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"--noise .* is not an option of the recipe anatomy"):
        lowdose.train("anatomy", tmp_path / "run", noise=noise_model)


@pytest.mark.parametrize(("name", "share"), [("learned-noise", 0.0), ("gaussian-noise", 0.7)])
def test_patches_with_the_noise_of_one_kernel_are_not_converted_to_others(name: str, share: float) -> None:
    pairing = NoisyPairing(name, GaussianNoise(20.0), "")
    hyperparameters = DenoiserHyperparameters(patch=32, kernel_conversion_share=0.7)
    patches = pairing.patches(
        simulated_slices(items())[0], hyperparameters, 0, Path(), Fabric(accelerator="cpu"), lambda text: None
    )
    assert patches.augmentation.share == share
