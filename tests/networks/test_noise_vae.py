"""The noise model's decoder: zero mean, no seams, the spectrum of its filters, gains that depend on the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.errors import IncompatibleCheckpoint
from lowdose.networks import noise_vae
from lowdose.networks.noise_vae import NoiseDecoder, NoiseSettings, NoiseVAE, TrainingNoise
from lowdose.weights.files import serialise_weights

SETTINGS = NoiseSettings(components=2, side=7, conditions=3, width=4)


def decoder(seed: int = 0) -> NoiseDecoder:
    torch.manual_seed(seed)
    known = TrainingNoise(20.0, 0.8, torch.tensor([-1.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 3.0]))
    return NoiseDecoder(SETTINGS, known).eval().requires_grad_(False)


def test_noise_is_odd_in_the_white_noise_so_that_its_mean_is_zero() -> None:
    model, white, places = decoder(), torch.randn(2, 2, 22, 22), torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(model(-white, places), -model(white, places))


def test_a_window_of_the_white_noise_gives_the_window_of_the_field() -> None:
    model, white = decoder(), torch.randn(1, 2, 70, 54)
    whole, part = model.fields(white), model.fields(white[..., 20:52, 10:40])
    assert whole.shape[-2:] == (64, 48)
    torch.testing.assert_close(part, whole[..., 20:46, 10:34], atol=1e-5, rtol=1e-5)


def test_filters_as_a_slow_sum_over_neighbours() -> None:
    model, white = decoder(), torch.randn(1, 2, 9, 9)
    taps = model.filters / model.filters.flatten(1).norm(dim=1)[:, None, None]
    slow = torch.zeros(2, 3, 3)
    for y in range(3):
        for x in range(3):
            for i in range(7):
                for j in range(7):
                    slow[:, y, x] += taps[:, i, j] * white[0, :, y + 6 - i, x + 6 - j]
    torch.testing.assert_close(model.fields(white)[0], slow, atol=1e-5, rtol=1e-5)


def test_statistics_are_the_same_at_every_pixel_and_power_is_that_of_the_filters() -> None:
    model = decoder()
    fields = model.fields(torch.randn(3000, 2, 22, 22, generator=torch.Generator().manual_seed(1)))
    variance = fields.var(dim=0)
    assert variance.mean() == pytest.approx(1, abs=0.01)
    assert float((variance - 1).abs().max()) < 0.15  # 5.8 standard errors: no row or column stands out
    power = torch.fft.fft2(fields).abs().square().mean(dim=0) / 256
    taps = model.filters / model.filters.flatten(1).norm(dim=1)[:, None, None]
    smooth = torch.fft.fft2(taps, (16, 16)).abs().square()
    assert np.corrcoef(power.flatten(), smooth.flatten())[0, 1] > 0.99


def test_gains_depend_on_the_place_and_not_beyond_the_range_of_the_training() -> None:
    model = decoder()
    inside, edge = torch.zeros(1, 3, 1, 1), torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert not torch.allclose(model.gains(inside), model.gains(edge))
    torch.testing.assert_close(model.gains(edge), model.gains(edge + 100))
    total = model.gains(inside).square().sum().sqrt()
    assert 5 < total < 80  # near 20 HU before any training


def test_encoder_and_decoder_fit_each_other() -> None:
    network = NoiseVAE(SETTINGS)
    found, mean, log_variance = network(torch.randn(2, 1, 12, 12), torch.zeros(2, 3, 1, 1), torch.randn(2, 2, 18, 18))
    assert found.shape == (2, 1, 12, 12)
    assert mean.shape == log_variance.shape == (2, 2, 18, 18)


def test_file_round_trip_also_from_a_run_folder(tmp_path: Path) -> None:
    model, file = decoder(), tmp_path / "model.safetensors"
    file.write_bytes(noise_vae.serialise_noise_model(model, {"recipe": "noise_vae"}))
    for path in (file, tmp_path):
        loaded, sha256 = noise_vae.read_noise_model(path)
        assert loaded.settings == SETTINGS
        assert len(sha256) == 64
        assert float(loaded.pixel_mm) == pytest.approx(0.8)
        white, places = torch.randn(1, 2, 12, 12), torch.rand(1, 3, 1, 1)
        torch.testing.assert_close(loaded(white, places), model(white, places))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"format": "lowdose-anatomy-1"}, "its format is 'lowdose-anatomy-1'.*lowdose train noise_vae"),
        ({}, "'not stated'"),
        ({"format": noise_vae.FORMAT}, "no sizes of a noise model"),
        ({"format": noise_vae.FORMAT, "noise": '{"components": 5, "side": 7, "conditions": 3}'}, "do not fit"),
    ],
)
def test_a_file_that_is_no_noise_model_is_refused(tmp_path: Path, header: dict[str, str], words: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(serialise_weights(decoder(), header))
    with pytest.raises(IncompatibleCheckpoint, match=words):
        noise_vae.read_noise_model(file)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=r"model\.safetensors"):
        noise_vae.read_noise_model(tmp_path)
