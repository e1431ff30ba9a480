"""From latents to words: a turn that no image notices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, distributed, nn

from lowdose.methods.latent_spread import FLOOR, LatentMoments, match_moments
from lowdose.networks.autoencoder import Autoencoder

CHANNELS = 6


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def points(latents: Tensor) -> Tensor:
    return latents.movedim(1, -1).flatten(0, 2).double()


def test_moments_of_all_batches_together() -> None:
    spread = LatentMoments(CHANNELS)
    batches = [3.0 + drawn(seed, 2, CHANNELS, 4, 5) for seed in range(3)]
    for batch in batches:
        spread.add(batch)
    together = torch.cat([points(batch) for batch in batches])
    mean, covariance = spread.moments()
    torch.testing.assert_close(mean, together.mean(0))
    torch.testing.assert_close(covariance, torch.cov(together.T, correction=0))
    assert int(spread.count) == len(together) == 120
    assert torch.equal(spread.moments()[1], covariance)


def test_moments_of_several_processes_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda part: part.mul_(2))
    two, alone = LatentMoments(CHANNELS), LatentMoments(CHANNELS)
    batch = drawn(1, 2, CHANNELS, 3, 3)
    two.add(batch)
    monkeypatch.undo()
    alone.add(batch)
    alone.add(batch)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value)


def around(features: int = 10) -> tuple[nn.Conv2d, nn.Conv2d, Tensor, Tensor]:
    """Both convolutions, features that they are given, and words."""
    torch.manual_seed(3)
    to_words, from_words = nn.Conv2d(features, CHANNELS, 1), nn.Conv2d(CHANNELS, 7, 1)
    seen = 2.0 + drawn(4, 8, features, 9, 9) * torch.linspace(0.3, 3, features)[:, None, None]
    words = 0.1 * drawn(5, 300, CHANNELS) @ drawn(6, CHANNELS, CHANNELS) + 0.7
    return to_words, from_words, seen, words


def test_images_stay_and_latents_get_the_mean_and_the_covariance_of_the_words() -> None:
    to_words, from_words, seen, words = around()
    with torch.no_grad():
        before = to_words(seen)
        image, spread = from_words(before), LatentMoments(CHANNELS)
        for half in before.split(4):
            spread.add(half)
        match_moments(to_words, from_words, spread, words)
        latents = to_words(seen)
        torch.testing.assert_close(from_words(latents), image, rtol=1e-4, atol=1e-4)
    wanted = torch.cov(words.double().T)
    assert not torch.allclose(latents, before, atol=0.1)
    torch.testing.assert_close(points(latents).mean(0), words.double().mean(0), rtol=0, atol=1e-4)
    found = torch.cov(points(latents).T)
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-3 * float(wanted.abs().max()))


def test_the_longest_axis_of_the_latents_becomes_that_of_the_words() -> None:
    to_words, from_words, seen, words = around()
    spread = LatentMoments(CHANNELS)
    with torch.no_grad():
        before = to_words(seen)
        spread.add(before)
        axis = torch.linalg.eigh(spread.moments()[1])[1][:, -1].float()
        match_moments(to_words, from_words, spread, words)
        moved = points(to_words(seen)) - points(to_words(seen)).mean(0)
        along = (points(before) - points(before).mean(0)) @ axis.double()
    direction = torch.linalg.eigh(torch.cov(words.double().T))[1][:, -1]
    seen_along = moved @ direction
    assert abs(float(torch.corrcoef(torch.stack([along, seen_along]))[0, 1])) > 0.999


def test_latents_without_variety_are_not_blown_up() -> None:
    """Two axes of six: on the others there is rounding, which must not become as large as words."""
    to_words, from_words, seen, words = around(features=2)
    spread = LatentMoments(CHANNELS)
    with torch.no_grad():
        image = from_words(to_words(seen))
        spread.add(to_words(seen))
        match_moments(to_words, from_words, spread, words)
        latents = to_words(seen)
        torch.testing.assert_close(from_words(latents), image, rtol=1e-3, atol=1e-3)
    assert bool(to_words.weight.isfinite().all())
    variances = torch.linalg.eigvalsh(torch.cov(points(latents).T))
    largest = torch.linalg.eigvalsh(torch.cov(words.double().T))[-1]
    assert float(variances[:4].max()) < FLOOR[0] * float(largest)


def test_it_fits_an_autoencoder_of_any_sharpness() -> None:
    torch.manual_seed(0)
    words = nn.functional.normalize(torch.randn(200, CHANNELS), dim=1)
    network, spread = Autoencoder("small", words, layers=1, sharpness=15.0), LatentMoments(CHANNELS)
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        latents = network.encode(image)
        made = network.decode(latents)
        spread.add(latents)
        match_moments(network.to_words, network.from_words, spread, network.codebook)
        torch.testing.assert_close(network.decode(network.encode(image)), made, rtol=1e-3, atol=1e-3)
        found = points(network.encode(image)).mean(0)
    torch.testing.assert_close(found, words.double().mean(0), rtol=0, atol=1e-3)
