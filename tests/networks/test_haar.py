"""Haar wavelets: they lose nothing, keep energy and noise, and are called by the right names."""

from __future__ import annotations

import pytest
import torch

from lowdose.networks.haar import haar, inverse_haar


@pytest.mark.parametrize("shape", [(2, 2), (3, 4, 6), (1, 3, 10, 8)])
def test_there_and_back(shape: tuple[int, ...]) -> None:
    images = 1000 * torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(inverse_haar(haar(images)), images, rtol=0, atol=1e-9)
    torch.testing.assert_close(inverse_haar(haar(images.float())) / 1000, images.float() / 1000, rtol=0, atol=1e-5)
    torch.testing.assert_close(haar(images).square().sum(), images.square().sum())


def test_white_noise_is_the_same_in_every_sub_band() -> None:
    bands = haar(7 * torch.randn(400, 400, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(bands.std(dim=(1, 2)), torch.full((4,), 7.0), rtol=0.02, atol=0)


def test_stripes_are_in_the_sub_band_of_their_direction() -> None:
    column, row = torch.arange(8.0) % 2, (torch.arange(8.0) % 2)[:, None]
    for images, band in ((column.expand(8, 8), 1), (row.expand(8, 8), 2), (column * row * 4 - 2 * column - 2 * row, 3)):
        energy = haar(images).square().sum(dim=(1, 2))
        assert energy[band] > 0
        assert energy[[other for other in (1, 2, 3) if other != band]].tolist() == [0, 0]


def test_odd_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="even sides"):
        haar(torch.zeros(4, 5))
