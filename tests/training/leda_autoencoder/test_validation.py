"""How an autoencoder is judged: the PSNR of whole slices by hand, and every word that it used."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.pyramid_quantiser import positions
from lowdose.training.leda_autoencoder.validation import MAX_SLICES, validate_reconstruction
from support.tiny_autoencoder_training import vocabulary, with_a_tiny_size

tiny = pytest.fixture(autouse=True, name="tiny")(with_a_tiny_size)


def normal(hu: np.ndarray, read: list[int] | None = None, number: int = 0) -> NormalDoseSlice:
    def reading() -> np.ndarray:
        if read is not None:
            read.append(number)
        return hu

    return NormalDoseSlice(1, "key", "series", hu.shape, None, None, None, None, None, None, reading)


class Constant(nn.Module):
    """Gives one value back for every pixel and one word for every position."""

    stride = 16

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.quantiser = type("Q", (), {"parts": positions(2)})()
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> tuple[Tensor, object]:
        assert not any(side % self.stride for side in image.shape[-2:])
        self.seen.append(image)
        indices = (torch.tensor([[3]]), torch.tensor([[len(self.seen), 7]]))
        return self.value.expand_as(image), type("R", (), {"indices": indices})()


def test_psnr_by_hand() -> None:
    images = [np.float32([[-1000, 2000], [500, -3000]] * 32).repeat(40, 1), np.full((70, 90), 800, np.float32)]
    images[1][0, 0] = np.nan
    found = validate_reconstruction(Constant(0.5), [normal(hu) for hu in images])  # type: ignore[arg-type]
    errors = (0.25 + 0.25 + 0 + 0.25) / 4, (0.1**2 * (70 * 90 - 1) + 0.25) / (70 * 90)
    assert found["validation/psnr"] == pytest.approx(np.mean([-10 * math.log10(error) for error in errors]), rel=1e-5)
    assert (found["validation/tokens_1"], found["validation/tokens_2"]) == (1, 3)


def test_an_image_is_judged_in_its_own_range_and_without_its_mirrored_edge() -> None:
    network = Constant(7.0)
    hu = np.full((33, 47), 2000, np.float32)
    hu[-1] = -1000
    found = validate_reconstruction(network, [normal(hu)])  # type: ignore[arg-type]
    assert found["validation/psnr"] == pytest.approx(-10 * math.log10(1 / 33), rel=1e-5)
    (seen,) = network.seen
    assert seen.shape == (1, 1, 48, 48)
    assert float(seen[0, 0, 33:].min()) == 1.0  # mirrored beyond the last row


@pytest.mark.parametrize("count", [0, 1, 5, 12, 23, 100])
def test_slices_that_are_judged_are_spread_evenly(count: int) -> None:
    read: list[int] = []
    items = [normal(np.full((32, 32), 5.0, np.float32), read, number) for number in range(count)]
    found = validate_reconstruction(Constant(0.5), items)  # type: ignore[arg-type]
    assert len(read) == len(set(read)) == min(count, MAX_SLICES)
    if not count:
        assert found == {}
        return
    assert (read[0], read[-1]) == (0, count - 1)
    steps = np.diff(read)
    assert not len(steps) or steps.max() - steps.min() <= 1


def test_validation_of_a_real_autoencoder() -> None:
    torch.manual_seed(0)
    network = Autoencoder("tiny", vocabulary().embeddings, layers=2).eval()
    found = validate_reconstruction(network, [normal(np.full((70, 100), 40.0, np.float32))])
    assert np.isfinite(found["validation/psnr"])
    assert 1 <= found["validation/tokens_1"] <= 2
    assert 1 <= found["validation/tokens_2"] <= 35
