"""Window, replication and normalisation, against the conventions of the papers written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE, Window
from lowdose.networks.features.input_transform import IMAGENET, MEANS_OF_255, ChannelStatistics, WindowedRGB

AS_IT_IS = ChannelStatistics((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_the_whole_range_is_the_image_three_times() -> None:
    image = torch.rand(2, 1, 4, 5)
    assert torch.equal(WindowedRGB(AS_IT_IS)(image), image.expand(2, 3, 4, 5))


@given(st.floats(-1500, 3000), st.floats(-1200, 1000), st.floats(1, 3000))
def test_a_window_is_a_ramp_in_hu(hu: float, low: float, width: float) -> None:
    seen = WindowedRGB(AS_IT_IS, Window(low, low + width))(
        OBJECTIVE.encode(torch.full((1, 1, 1, 1), hu, dtype=torch.float64))
    )
    assert seen.flatten().tolist() == pytest.approx(3 * [min(max((hu - low) / width, 0.0), 1.0)], abs=1e-6)


def test_imagenet_channel_by_channel() -> None:
    image = torch.rand(1, 1, 3, 3)
    seen = WindowedRGB(IMAGENET)(image)
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        torch.testing.assert_close(seen[:, channel], (image[:, 0] - mean) / std)


def test_caffe_convention_times_255_less_the_means() -> None:
    image = torch.rand(1, 1, 3, 3)
    seen = WindowedRGB(MEANS_OF_255)(image)
    for channel, mean in enumerate([123.68, 116.779, 103.939]):
        torch.testing.assert_close(seen[:, channel], 255 * image[:, 0] - mean, atol=1e-4, rtol=1e-5)


def test_gradient_inside_and_on_the_ends_of_the_window_but_not_beyond() -> None:
    image = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1]).view(1, 1, 1, 5).requires_grad_(True)
    WindowedRGB(AS_IT_IS)(image).sum().backward()
    assert image.grad is not None
    assert image.grad.flatten().tolist() == [0.0, 3.0, 3.0, 3.0, 0.0]


def test_has_no_weights_and_moves() -> None:
    look = WindowedRGB(IMAGENET)
    assert not look.state_dict()
    assert look.double()(torch.zeros(1, 1, 1, 1, dtype=torch.float64)).dtype == torch.float64


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="larger"):
        WindowedRGB(IMAGENET, Window(100, 100))
