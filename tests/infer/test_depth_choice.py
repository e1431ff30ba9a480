"""The depth of a series: nearest to the noise that is asked for, once for all slices, and recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import lowdose
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.models.at_inference import choose_at_inference
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.models.noise_retention import TEXTURES
from support.smoothing_model import write_smoothing_model

SPACING = (3.0, 0.7, 0.7)
NOISE = 30.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_smoothing_model(tmp_path_factory.mktemp("smoothing") / "smoothing.safetensors")


@pytest.fixture
def model(path: Path) -> LoadedModel:
    return load_by_name(str(path), torch.device("cpu"))  # on no engine, which takes seconds to export each depth


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    # Without low frequencies, as in CT: the local SD by which depths are chosen is then that of the image.
    white = np.random.default_rng(0).normal(0, NOISE, (2, 128, 128))
    return (40 + white - gaussian_filter(white, (0, 1, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def sds(path: LoadedModel, hu: np.ndarray) -> list[float]:
    """SD at every depth over that of the input, each denoised by itself."""
    found = []
    for depth in range(6):
        denoiser = checkpoint.load_denoiser(str(path)).denoiser
        denoiser.network.depth = depth  # type: ignore[assignment]
        found.append(float(denoiser.denoise(torch.from_numpy(hu)[:, None]).std() / hu.std()))
    return found


@pytest.mark.parametrize("texture", sorted(TEXTURES))
@pytest.mark.parametrize("dose", [0.1, 0.5])
def test_the_noise_is_the_nearest_to_what_the_texture_asks_for(
    model: LoadedModel, hu: np.ndarray, sds: list[float], texture: str, dose: float
) -> None:
    result = lowdose.denoise(hu, spacing=SPACING, model=model, texture=texture, dose=dose)
    record = result.to_dict()
    errors = [abs(sd - dose ** TEXTURES[texture]) for sd in sds]
    chosen = record["at_inference"]["depth"]
    assert errors[chosen] == pytest.approx(min(errors), abs=0.01)  # as near as local and global SD are
    assert record["noise"]["wanted"]["texture"] == texture
    assert float(result.volume.hu.std() / hu.std()) == pytest.approx(sds[chosen], rel=1e-4)


def test_depths_differ_among_the_cases_above(sds: list[float]) -> None:
    assert sds == sorted(sds, reverse=True)
    assert len({int(np.argmin([abs(sd - dose**power) for sd in sds])) for dose in (0.1, 0.5)
                for power in TEXTURES.values()}) > 2  # fmt: skip


def test_a_loaded_model_keeps_its_depth_and_each_series_has_its_own(model: LoadedModel, hu: np.ndarray) -> None:
    chosen = [
        lowdose.denoise(hu, spacing=SPACING, model=model, dose=dose).to_dict()["at_inference"]["depth"]
        for dose in (0.1, 0.8, 0.1)
    ]
    assert chosen[0] == chosen[2] > chosen[1]
    assert model.at_inference == {"depth": 5}


def test_what_is_stated_or_reached_by_mixing_leaves_the_depth(model: LoadedModel, hu: np.ndarray) -> None:
    air = np.full((1, 64, 64), -1000, np.float32)  # no tissue to measure in
    assert lowdose.denoise(air, spacing=SPACING, model=model).to_dict()["at_inference"] == {"depth": 5}
    for options in ({"noise_sd": 20.0}, {"strength": 0.0}):
        result = lowdose.denoise(hu, spacing=SPACING, model=model, **options)
        assert result.to_dict()["at_inference"] == {"depth": 5}
    assert np.array_equal(result.volume.hu, hu)
    stated = choose_at_inference(model, {"depth": 2})
    assert lowdose.denoise(hu, spacing=SPACING, model=stated).to_dict()["at_inference"] == {"depth": 2}


def test_what_contradicts_is_refused(path: Path, model: LoadedModel, hu: np.ndarray) -> None:
    with pytest.raises(InvalidSetting, match="--depth 6: must be from 0 to 5 for the model smoothing"):
        lowdose.denoise(hu, spacing=SPACING, model=path, depth=6)
    with pytest.raises(InvalidSetting, match="--texture: --depth says how much noise remains; leave out one"):
        lowdose.denoise(hu, spacing=SPACING, model=choose_at_inference(model, {"depth": 2}), texture="natural")


@pytest.mark.slow
def test_on_an_engine_it_is_the_same(path: Path, model: LoadedModel, hu: np.ndarray) -> None:
    plain, fast = (lowdose.denoise(hu, spacing=SPACING, model=one, dose=0.5) for one in (model, path))
    assert plain.to_dict()["at_inference"] == fast.to_dict()["at_inference"] != {"depth": 5}
    np.testing.assert_allclose(plain.volume.hu, fast.volume.hu, atol=0.02)
    assert np.array_equal(lowdose.denoise(hu, spacing=SPACING, model=path, depth=0).volume.hu, hu)
