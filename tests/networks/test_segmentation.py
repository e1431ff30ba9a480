"""Slices of any size and pixel: what comes back lies where it was seen, shown by networks that only compare HU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.segmentation import WORKING_MM, segment_slice
from lowdose.organ_classes import CLASSES

MIDDLE = 0.0
ABOVE, BELOW = 7, 3
PIXELS = (0.4, 0.7, 0.977, 1.0, 1.5)


class Above(nn.Module):
    """Answers at half resolution: class ``ABOVE`` where the mean of four pixels is above ``MIDDLE`` HU."""

    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[-1] % self.multiple == image.shape[-2] % self.multiple == 0
        hu = OBJECTIVE.decode(image)
        self.seen.append(hu[0, 0])
        logits = torch.full((1, len(CLASSES), *(side // 2 for side in image.shape[-2:])), -1e4)
        logits[:, ABOVE] = functional.avg_pool2d(hu, 2)[:, 0] - MIDDLE
        logits[:, BELOW] = 0.0
        return logits


def above(hu: np.ndarray, pixel_mm: tuple[float, float] | None) -> np.ndarray:
    found = segment_slice(Above(), hu.astype(np.float32), pixel_mm)
    assert found.shape == hu.shape
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= {ABOVE, BELOW}
    return found == ABOVE


def ramp(shape: tuple[int, int], pixel_mm: tuple[float, float], angle: float) -> np.ndarray:
    """HU that rise by 10 a mm, and are ``MIDDLE`` on a line through the middle of the image."""
    y, x = ((np.arange(n) - (n - 1) / 2) * side for n, side in zip(shape, pixel_mm, strict=True))
    return 10 * (np.sin(angle) * y[:, None] + np.cos(angle) * x) + MIDDLE


sides = st.integers(24, 150)
pixel = st.sampled_from(PIXELS)


@given(shape=st.tuples(sides, sides), pixel_mm=st.tuples(pixel, pixel), angle=st.floats(0, 2 * np.pi))
@settings(max_examples=60, deadline=None)
def test_a_slanted_line_stays_where_it_is(shape: tuple[int, int], pixel_mm: tuple[float, float], angle: float) -> None:
    hu = ramp(shape, pixel_mm, angle)
    wrong = above(hu, pixel_mm) != (hu > MIDDLE)
    # A slant is the same under all that is linear, but not within reach of the border.
    reach = [int(np.ceil(4 * max(1.0, WORKING_MM / side))) for side in pixel_mm]
    inside = (slice(reach[0], -reach[0]), slice(reach[1], -reach[1]))
    # Half a pixel, measured across the line: its distance from pixels that were called wrongly.
    assert np.abs(hu - MIDDLE)[inside][wrong[inside]].max(initial=0.0) <= 0.5 * 10 * min(pixel_mm)


def disc(shape: tuple[int, int], pixel_mm: tuple[float, float], radius_mm: float, soft_mm: float = 2.0) -> np.ndarray:
    y, x = ((np.arange(n) - (n - 1) / 2) * side for n, side in zip(shape, pixel_mm, strict=True))
    distance = np.hypot(y[:, None] - 3.3, x + 2.1)
    return 200 * np.clip((radius_mm - distance) / soft_mm, -1, 1)


@pytest.mark.parametrize("shape", [(128, 128), (101, 131), (90, 157)])
@pytest.mark.parametrize("side", PIXELS)
def test_a_disc_is_found_where_it_lies_and_as_large(side: float, shape: tuple[int, int]) -> None:
    hu = disc(shape, (side, side), 0.3 * side * min(shape))
    found, true = above(hu, (side, side)), hu > MIDDLE
    # Half a working pixel beside the place would show: the centre is known to a tenth.
    for axis in (0, 1):
        assert np.argwhere(found)[:, axis].mean() == pytest.approx(np.argwhere(true)[:, axis].mean(), abs=0.1)
    assert np.sqrt(found.sum() / np.pi) == pytest.approx(np.sqrt(true.sum() / np.pi), abs=0.3)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.98


def test_pixels_that_are_not_square() -> None:
    shape, pixel_mm = (160, 75), (0.4, 1.3)
    hu = disc(shape, pixel_mm, 16.0)
    network = Above()
    found, true = segment_slice(network, hu.astype(np.float32), pixel_mm) == ABOVE, hu > MIDDLE
    assert network.seen[0].shape == (64, 128)  # 64 mm x 97.5 mm
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.97
    for axis in (0, 1):
        assert np.argwhere(found)[:, axis].mean() == pytest.approx(np.argwhere(true)[:, axis].mean(), abs=0.2)
    # What the network saw is round: as high as wide.
    seen = network.seen[0].numpy() > MIDDLE
    assert seen.any(axis=1).sum() == pytest.approx(seen.any(axis=0).sum(), abs=1)
    assert seen.any(axis=1).sum() == pytest.approx(32, abs=1)


@pytest.mark.parametrize("pixel_mm", [None, (1.0, 1.0), (0.0, 1.0), (50.0, 50.0), (float("nan"), 1.0), (1e-4, 1e-4)])
def test_without_a_believable_pixel_the_image_is_seen_as_it_is(pixel_mm: tuple[float, float] | None) -> None:
    hu = np.random.default_rng(0).normal(0, 300, (45, 70)).astype(np.float32)
    network = Above()
    segment_slice(network, hu, pixel_mm)
    seen = network.seen[0].numpy()
    assert seen.shape == (64, 96)
    np.testing.assert_allclose(seen[:45, :70], hu.clip(-1000, 2000), atol=1e-3)
    np.testing.assert_allclose(seen[45:], -1000, atol=1e-3)
    np.testing.assert_allclose(seen[:, 70:], -1000, atol=1e-3)


@pytest.mark.parametrize("side", PIXELS)
def test_the_network_sees_pixels_of_one_size(side: float) -> None:
    network = Above()
    segment_slice(network, np.zeros((200, 137), np.float32), (side, side))
    inside = network.seen[0].numpy() > -999
    height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert (height, width) == (round(200 * side), round(137 * side))
    assert inside[:height, :width].all()


def test_values_that_are_no_number_are_air_and_infinity_is_the_end_of_the_range() -> None:
    hu = np.random.default_rng(0).normal(0, 300, (40, 40)).astype(np.float32)
    odd, plain = hu.copy(), hu.copy()
    for place, (value, meant) in enumerate([(np.nan, -1000), (np.inf, 2000), (-np.inf, -1000), (3e38, 2000)]):
        odd[5 * place : 5 * place + 3, 4:9] = value
        plain[5 * place : 5 * place + 3, 4:9] = meant
    before = odd.copy()
    for pixel_mm in (None, (0.7, 0.7)):
        np.testing.assert_array_equal(segment_slice(Above(), odd, pixel_mm), segment_slice(Above(), plain, pixel_mm))
    np.testing.assert_array_equal(odd, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (33, 2)])
@pytest.mark.parametrize("pixel_mm", [None, (0.4, 0.4), (1.5, 0.7)])
def test_images_of_a_few_pixels(shape: tuple[int, int], pixel_mm: tuple[float, float] | None) -> None:
    assert not above(np.full(shape, -300.0), pixel_mm).any()


def test_any_layout_in_memory() -> None:
    hu = np.random.default_rng(0).normal(0, 300, (40, 50)).astype(np.float32)
    for view in (hu[::-1, ::-1], hu.T, hu[::2, 1::3]):
        before = view.copy()
        view.flags.writeable = False
        np.testing.assert_array_equal(
            segment_slice(Above(), view, (0.7, 0.7)), segment_slice(Above(), before, (0.7, 0.7))
        )


def test_with_the_real_network() -> None:
    torch.manual_seed(0)
    network = Anatomy()
    for _ in range(5):  # running means, without which fresh weights have one answer for everything
        network(torch.rand(4, 1, 64, 64))
    network.eval()
    hu = np.random.default_rng(0).uniform(-1000, 2000, (61, 90)).astype(np.float32)
    found = segment_slice(network, hu, (0.8, 0.8))
    assert found.shape == hu.shape
    assert found.max() < len(CLASSES)
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(segment_slice(network, hu, (0.8, 0.8)), found)
    with torch.no_grad():
        padded = functional.pad(torch.from_numpy(hu[:48, :72])[None, None], (0, 24, 0, 16), value=-1000.0)
        fine = functional.interpolate(network(OBJECTIVE.encode(padded)), scale_factor=2.0, mode="bilinear")
    expected = fine[0].argmax(0)[:48, :72].numpy()
    assert (segment_slice(network, hu[:48, :72], None) == expected).mean() > 0.99
