"""Learning from pairs: what the objective gets to see, and how a pair is weighed by the noise of its input."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose.batch import Batch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.supervised import Balanced, Supervised, noise_sd
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import MSE
from lowdose.spec import Spec


def images(sd: float, count: int = 2, side: int = 64) -> tuple[Tensor, Tensor]:
    """(low, full) of a bone edge in soft tissue."""
    rng = np.random.default_rng(0)
    full = torch.full((count, 1, side, side), 40.0)
    full[..., : side // 8] = 900.0
    low = full + torch.from_numpy(rng.normal(0, sd, full.shape).astype(np.float32)) if sd else full.clone()
    return low, full


def untrained() -> Denoiser:
    """The identity: its last convolution is zero."""
    return Denoiser(Spec("shuffle_unet", {"width": 8}), Scale())


def loss(method: Supervised, low: Tensor, full: Tensor) -> float:
    (turn,) = method.turns(Batch(low, full))
    return float(turn.terms["mse"].detach())


@pytest.mark.parametrize("sd", [5.0, 30.0, 150.0])
def test_noise_is_measured_beside_an_edge(sd: float) -> None:
    found = noise_sd(images(sd)[0])
    assert found.shape == (2, 1, 1, 1)
    # A mean of 25 pixels takes a 25th of the variance of white noise along with it.
    assert found.flatten().tolist() == pytest.approx([sd * (24 / 25) ** 0.5] * 2, rel=0.15)


def test_an_image_without_noise_has_none() -> None:
    assert float(noise_sd(images(0.0)[0]).max()) == 0.0


def test_the_weight_is_the_formula() -> None:
    low, full = images(60.0)
    sd = noise_sd(low)
    error = OBJECTIVE.encode(low) - OBJECTIVE.encode(full)
    expected = float((error.square() * Balanced.FLOOR**2 / (sd.square() + Balanced.FLOOR**2)).mean())
    assert loss(Balanced(untrained(), MSE()), low, full) == pytest.approx(expected, rel=1e-4)


def test_little_noise_counts_as_much_as_much() -> None:
    """Left as it is, an image of 100 HU costs 25 times as much as one of 20 HU; weighed, next to the same."""
    pairs = [images(sd) for sd in (20.0, 100.0)]
    plain, balanced = ([loss(kind(untrained(), MSE()), *pair) for pair in pairs] for kind in (Supervised, Balanced))
    assert plain[1] / plain[0] == pytest.approx(25, rel=0.1)
    assert 1 < balanced[1] / balanced[0] < 1.4


def test_the_weight_knows_nothing_of_the_target() -> None:
    low, full = images(40.0)
    method, pred = Balanced(untrained(), MSE()), low + 50
    for target in (full, low, full + 7):
        weight = float((method.weighed(pred, low, target) - target).sum() / (pred - target).sum())
        sd = float(noise_sd(low).mean())
        assert weight == pytest.approx(Balanced.FLOOR / (sd**2 + Balanced.FLOOR**2) ** 0.5, rel=0.02)
