"""Learning from pairs: what the objective gets to see, noise-free images from noisy targets, and weights."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.supervised import NoiseFree, Supervised, noise_sd
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.pixel import MSE
from lowdose.objectives.spectrum import NoisePowerSpectrumLoss


def images(sd: float, count: int = 2, side: int = 64) -> tuple[Tensor, Tensor]:
    """(low, full) of a bone edge in soft tissue."""
    rng = np.random.default_rng(0)
    full = torch.full((count, 1, side, side), 40.0)
    full[..., : side // 8] = 900.0
    low = full + torch.from_numpy(rng.normal(0, sd, full.shape).astype(np.float32)) if sd else full.clone()
    return low, full


def untrained() -> Denoiser:
    """The identity: its last convolution is zero."""
    return Denoiser(NetworkSpec("shuffle_unet", {"width": 8}), Scale())


def loss(method: Supervised, low: Tensor, full: Tensor, dose: float = 0.0) -> float:
    (turn,) = method.updates(PairedBatch(low, full, torch.full((len(low),), dose)))
    return float(turn.terms["mse"].detach())


@pytest.mark.parametrize("sd", [5.0, 30.0, 150.0])
def test_noise_is_measured_beside_an_edge(sd: float) -> None:
    found = noise_sd(images(sd)[0])
    assert found.shape == (2, 1, 1, 1)
    # A mean of 25 pixels takes a 25th of the variance of white noise along with it.
    assert found.flatten().tolist() == pytest.approx([sd * (24 / 25) ** 0.5] * 2, rel=0.15)


def test_an_image_without_noise_has_none() -> None:
    assert float(noise_sd(images(0.0)[0]).max()) == 0.0


def test_what_is_compared_is_the_formula() -> None:
    low, full = images(60.0)
    sd, dose = noise_sd(low), 0.3
    method, pred = NoiseFree(untrained(), MSE()), torch.full_like(low, 40.0)
    found = method.compared(pred, low, full, torch.full((2,), dose))
    # Eq. 7 of Noisier2Noise solved for what its network predicts, with alpha^2 = (1 - a) / a
    alpha2 = (1 - dose) / dose
    noisier = (alpha2 * pred + low) / (1 + alpha2)
    torch.testing.assert_close(found, full + (noisier - full) * NoiseFree.FLOOR / (sd**2 + NoiseFree.FLOOR**2).sqrt())


@pytest.mark.parametrize("dose", [0.05, 0.25, 0.7])
def test_the_noise_free_image_is_best_though_no_target_is_without_noise(dose: float) -> None:
    """Full dose has noise of its own, low dose that and more: of all mixtures of the truth and the input, the truth."""
    rng = np.random.default_rng(1)
    truth = torch.full((4, 1, 64, 64), 40.0)
    own, added = (torch.from_numpy(rng.normal(0, sd, truth.shape).astype(np.float32))
                  for sd in (20.0, 20.0 * (1 / dose - 1) ** 0.5))  # fmt: skip
    full, low = truth + own, truth + own + added
    method, doses = NoiseFree(untrained(), MSE()), torch.full((4,), dose)

    def cost(left: float) -> float:
        compared = method.compared(truth + left * (low - truth), low, full, doses)
        return float((compared - full).square().mean())

    assert min((-0.2, -0.1, 0.0, 0.1, 0.2), key=cost) == 0.0


def test_little_noise_counts_as_much_as_much() -> None:
    """Left as it is, an image of 100 HU costs 25 times as much as one of 20 HU; weighed, next to the same."""
    pairs = [images(sd) for sd in (20.0, 100.0)]
    plain, balanced = ([loss(kind(untrained(), MSE()), *pair) for pair in pairs] for kind in (Supervised, NoiseFree))
    assert plain[1] / plain[0] == pytest.approx(25, rel=0.1)
    assert 1 < balanced[1] / balanced[0] < 1.4


def test_the_weight_knows_nothing_of_the_target() -> None:
    low, full = images(40.0)
    method, pred, none = NoiseFree(untrained(), MSE()), low + 50, torch.zeros(2)
    for target in (full, low, full + 7):
        weight = float((method.compared(pred, low, target, none) - target).sum() / (pred - target).sum())
        sd = float(noise_sd(low).mean())
        assert weight == pytest.approx(NoiseFree.FLOOR / (sd**2 + NoiseFree.FLOOR**2) ** 0.5, rel=0.02)


def test_its_denoiser_says_what_it_makes() -> None:
    denoiser = untrained()
    assert not denoiser.noise_free
    NoiseFree(denoiser, MSE())
    assert denoiser.noise_free


def test_texture_compares_the_full_dose_estimate_without_weights() -> None:
    low, full = images(60.0)
    doses, spectrum = torch.tensor([0.1, 0.5]), NoisePowerSpectrumLoss()
    method = NoiseFree(untrained(), MSE(), 0.5 * spectrum)
    (turn,) = method.updates(PairedBatch(low, full, doses))
    # The untrained network returns its input, and so does the mixture, at every dose.
    expected = 0.5 * spectrum(OBJECTIVE.encode(low), OBJECTIVE.encode(full))
    torch.testing.assert_close(turn.terms["noise_power_spectrum"], expected, rtol=1e-4, atol=0)
    (plain,) = NoiseFree(untrained(), MSE()).updates(PairedBatch(low, full, doses))
    assert list(plain.terms) == ["mse"]
    assert torch.equal(plain.terms["mse"], turn.terms["mse"])


@pytest.mark.parametrize("dose", [0.1, 0.25, 0.5])
def test_noise_of_a_noise_free_estimate_differs_in_level_not_in_texture(dose: float) -> None:
    """Of the true image, a low + (1 - a) truth has a times the noise power of full dose: only the level tells them."""
    truth = torch.full((4, 1, 64, 64), 40.0)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0)) * 100
    full, low = truth + noise, truth + noise / dose**0.5
    batch = PairedBatch(low, full, torch.full((4,), dose))
    found = [
        float(NoiseFree(untrained(), MSE(), NoisePowerSpectrumLoss(level=level)).further_terms(
            truth, full, low, full, batch)["noise_power_spectrum"])
        for level in (0.0, 1.0)
    ]  # fmt: skip
    assert found == pytest.approx([0.0, np.log(dose) ** 2], rel=0.01, abs=1e-3)


def test_the_contrast_of_a_lesion_is_that_of_the_weighted_estimate() -> None:
    low, full = images(0.0)
    lesion = torch.zeros_like(full)
    lesion[..., 30:34, 30:34] = 1
    template, dose = lesion / 16 - (1 - lesion) / (64 * 64 - 16), 0.25
    batch = PairedBatch(low, full - 20 * lesion, torch.full((2,), dose), template)
    (turn,) = NoiseFree(untrained(), MSE(), lesion_weight=3.0).updates(batch)
    # No noise, hence the weight 1; the untrained network returns its input, which lacks the lesion.
    assert float(turn.terms["lesion_contrast"].detach()) == pytest.approx(3 * (20 / 3000) ** 2, rel=1e-3)
    with pytest.raises(ValueError, match="lesion_share"):
        list(NoiseFree(untrained(), MSE(), lesion_weight=1.0).updates(PairedBatch(low, full, torch.zeros(2))))
