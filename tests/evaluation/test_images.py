"""Neighbours in an evaluation: those of the low-dose series, with or without partners of their own."""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lowdose.evaluation import images
from lowdose.metrics.profiles import PROFILES
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.models.noise_retention import NoiseTarget
from support.evaluation_cases import Series, case
from support.smoothing_model import write_smoothing_model


def model(context: int, name: str = "positions") -> LoadedModel:
    """Answers with 10^k HU times the k-th slice it sees."""

    def denoise(hu: torch.Tensor) -> torch.Tensor:
        tens = 10.0 ** torch.arange(2 * context, -1, -1)
        return (hu * tens[None, :, None, None]).sum(1, keepdim=True)

    return LoadedModel(
        name,
        f"{context}",
        SimpleNamespace(denoise=denoise, context=context, noise_free=False),
        None,
        torch.device("cpu"),
    )  # type: ignore[arg-type]


def numbered(count: int, size: int = 8) -> np.ndarray:
    return np.arange(1.0, count + 1)[:, None, None] * np.ones((count, size, size))


def test_every_model_sees_as_many_neighbours_as_it_looks_at() -> None:
    low = Series(numbered(5))
    pair = case(low, Series(numbered(5)), pairs=[(1, 1), (2, 2), (4, 4)])
    models = [model(0, "alone"), model(1), model(2, "wide")]
    found = [
        {name: float(hu[0, 0]) for name, hu in images.denoise_with_each(models, around, 1.0, defaultdict(list)).items()}
        for around in images.low_dose_windows(pair, models)
    ]
    assert found == [
        {"alone": 2, "positions": 123, "wide": 21234},
        {"alone": 3, "positions": 234, "wide": 12345},
        {"alone": 5, "positions": 455, "wide": 34555},
    ]
    assert low.reads == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("models", [[], [model(0)]])
def test_without_context_only_the_slices_of_pairs_are_read(models: list[LoadedModel]) -> None:
    low = Series(numbered(5))
    pair = case(low, Series(numbered(5)), pairs=[(1, 1), (4, 4)])
    assert [len(around) for around in images.low_dose_windows(pair, models)] == [1, 1]
    assert low.reads == [1, 4]


def noisy(count: int, sd: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, sd, (count, 64, 64)) + 50


def test_an_evaluation_measures_what_the_model_made_of_the_neighbours() -> None:
    low, full = Series(noisy(4, 30)), Series(numbered(4, 64) * 0 + 50)

    def mean(hu: torch.Tensor) -> torch.Tensor:
        return hu.mean(1, keepdim=True)

    averaging: Any = SimpleNamespace(denoise=mean, context=1, noise_free=False)
    ready = LoadedModel("mean", "", averaging, None, torch.device("cpu"))
    result = images.evaluate_images([case(low, full)], [ready], PROFILES["default"], 1.0, lambda done: None)
    before, after = (result.values("rmse", image)[0] for image in (images.LOW, "mean"))
    # White noise: 1/3 of its variance over three slices, 5/9 where a slice stands in for its neighbour.
    expected = np.sqrt([5 / 9, 1 / 3, 1 / 3, 5 / 9])
    np.testing.assert_allclose(np.array(after) / before, expected, rtol=0.1)
    assert [sample.position for sample in result.samples] == [low.planes[2].position]
    assert np.array_equal(result.samples[0].images[images.LOW], low.hu[2])
    assert low.reads == [0, 1, 2, 3]


def test_a_model_with_depths_has_the_depth_that_denoising_would_choose(tmp_path: Path) -> None:
    pair = case(Series(noisy(1, 30)), Series(noisy(1, 10)))
    smoothing = load_by_name(str(write_smoothing_model(tmp_path / "smoothing.safetensors")), torch.device("cpu"))
    depths = []
    for dose in (0.1, 0.5):
        (fitted,) = images.fit_models_to_case(pair, [smoothing], NoiseTarget(dose=dose))
        depths.append(fitted.at_inference["depth"])
    assert depths[0] > depths[1] > 0
    result = images.evaluate_images([pair], [smoothing], PROFILES["leda"], 1.0, lambda _: None, NoiseTarget(dose=0.5))
    assert f"depth {depths[1]}" in result.noise_kept[0]
