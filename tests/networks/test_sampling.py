"""Networks that sample: a slice has one result, whatever is denoised beside it, and steps that can be chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lowdose
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NETWORKS, NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.sampling import SliceNoise, is_sampler


class Drawn(nn.Module):
    """Adds the mean of as many draws as there are steps, in units of 1000 HU."""

    at_inference: ClassVar = {"steps": (1, 9)}

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.steps = nn.Parameter(torch.tensor(0.1)), 4

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("a sampler is not applied by forward")

    def sample(self, x: Tensor, noise: SliceNoise) -> Tensor:
        return x + self.factor * torch.stack([noise.normal(x) for _ in range(self.steps)]).mean(0)


class Unrolled(nn.Module):
    """Repeats one convolution as often as its depth says."""

    at_inference: ClassVar = {"depth": (1, 5)}

    def __init__(self) -> None:
        super().__init__()
        self.step, self.depth = nn.Conv2d(1, 1, 3, padding=1), 1

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.depth):
            x = x - 0.1 * torch.relu(self.step(x))
        return x


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = dict(NETWORKS)
    register_network("drawn")(Drawn)
    path = tmp_path_factory.mktemp("drawn") / "drawn.safetensors"
    denoiser = Denoiser(NetworkSpec("drawn"), Scale(), stated_means_px=0.0)
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {})
    yield path
    NETWORKS.clear()
    NETWORKS.update(before)


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return np.random.default_rng(0).normal(40, 30, (5, 48, 56)).astype(np.float32)


def denoised(hu: np.ndarray, model: object, **options: object) -> np.ndarray:
    found = lowdose.denoise(hu, spacing=(3.0, 0.7, 0.7), model=model, **options)  # type: ignore[arg-type]
    return np.asarray(found.volume.hu)


def test_the_noise_is_that_of_the_slice() -> None:
    slices = torch.randn(3, 1, 20, 24) * 50
    like = torch.empty(3, 2, 6, 7)
    noise = SliceNoise(slices)
    first, second = noise.normal(like), noise.normal(like)
    assert not torch.equal(first, second)
    again = SliceNoise(slices[[2, 0]])
    torch.testing.assert_close(again.normal(like[:2]), first[[2, 0]], rtol=0, atol=0)
    torch.testing.assert_close(again.normal(like[:2].double()), second[[2, 0]].double(), rtol=0, atol=0)
    assert not torch.equal(SliceNoise(slices + 1).normal(like), first)
    assert abs(float(SliceNoise(slices).normal(torch.empty(3, 1, 200, 200)).std()) - 1) < 0.01


def test_a_result_does_not_depend_on_order_company_or_threads(model: Path, hu: np.ndarray) -> None:
    whole = denoised(hu, model)
    assert np.array_equal(denoised(hu, model), whole)
    assert np.array_equal(denoised(hu, model, jobs=2), whole)
    assert np.array_equal(denoised(hu[::-1].copy(), model)[::-1], whole)
    assert np.array_equal(denoised(hu[3:4], model)[0], whole[3])
    assert (whole - hu).std() == pytest.approx(100 / 2, rel=0.05)  # the mean of four draws of 100 HU


def test_steps_are_chosen_when_it_is_applied(model: Path, hu: np.ndarray) -> None:
    assert (denoised(hu, model, steps=1) - hu).std() == pytest.approx(100, rel=0.05)
    loaded = lowdose.load_model(model, steps=9)
    assert (denoised(hu, loaded) - hu).std() == pytest.approx(100 / 3, rel=0.05)
    assert loaded.at_inference == {"steps": 9}
    record = lowdose.denoise(hu, spacing=(3.0, 0.7, 0.7), model=loaded).to_dict()
    assert record["at_inference"] == {"steps": 9}
    assert json.dumps(record)
    assert lowdose.load_model(model).at_inference == {"steps": 4}
    cases = (
        ({"model": model, "steps": 10}, "--steps 10: must be from 1 to 9 for the model drawn"),
        ({"model": model, "depth": 2}, "--depth 2: is not for the model drawn, which has --steps; leave it out"),
        ({"model": "gaussian", "steps": 2}, "--steps 2: is not for the model gaussian, which has no such setting"),
        ({"model": loaded, "steps": 2}, "steps=2: drawn is loaded already; give it to load_model"),
    )
    for options, reason in cases:
        with pytest.raises(InvalidSetting) as caught:
            denoised(hu, **options)  # type: ignore[arg-type]
        assert reason in str(caught.value)


def test_engines_say_that_they_cannot_and_pytorch_runs_it(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lowdose")
    assert (lowdose.load_model(model).engine, lowdose.load_model(model, engine="openvino").engine) == ("torch", "torch")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["drawn draws random numbers, which no engine exports: plain PyTorch runs it"] * 2
    caplog.clear()
    lowdose.load_model(model, engine="torch")
    assert not caplog.records


def test_what_is_chosen_is_part_of_what_engines_are_measured_on() -> None:
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale())
    assert not is_sampler(denoiser.network)
    assert (denoiser.at_inference, denoiser.identity) == ({}, repr(denoiser.spec))
    denoiser.network.at_inference, denoiser.network.depth = {"depth": (1, 3)}, 2  # type: ignore[assignment]
    assert denoiser.identity != repr(denoiser.spec)


def test_engines_export_the_depth_that_was_chosen(
    tmp_path: Path, hu: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOWDOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(NETWORKS, "unrolled", Unrolled)
    torch.manual_seed(0)
    path, results = tmp_path / "unrolled.safetensors", []
    checkpoint.save_denoiser(path, Denoiser(NetworkSpec("unrolled"), Scale()), TrainingDomain(), {})
    for depth in (1, 4):
        plain = checkpoint.load_denoiser(str(path)).denoiser
        plain.network.depth = depth  # type: ignore[assignment]
        results.append(plain.denoise(torch.from_numpy(hu[:1, None]))[0].numpy())
        loaded = lowdose.load_model(path, depth=depth)
        np.testing.assert_allclose(denoised(hu[:1], loaded), results[-1], atol=0.02)
    assert np.abs(results[0] - results[1]).max() > 0.5
