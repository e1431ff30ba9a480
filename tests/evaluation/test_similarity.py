"""Places that are asked for, and cosines of MAC-Net's features with theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.evaluation.similarity import local_features, query_places, read_similarity
from lowdose.hounsfield import OBJECTIVE
from lowdose.image import Slice
from lowdose.networks.mac_net import MACNet


def body(height: int = 90, width: int = 110) -> np.ndarray:
    """A body of soft tissue with a lung, a bone, and fat around it."""
    y, x = np.mgrid[:height, :width]
    hu = np.full((height, width), -1000, np.float32)
    hu[np.hypot(y - 45, x - 55) < 40] = -100
    hu[np.hypot(y - 45, x - 55) < 32] = 40
    hu[np.hypot(y - 45, x - 40) < 9] = -850
    hu[np.hypot(y - 60, x - 68) < 6] = 700
    return hu


@pytest.fixture
def network() -> MACNet:
    torch.manual_seed(0)
    made = MACNet(2)
    made(torch.rand(4, 1, 48, 48))  # so that its running statistics are of something
    return made.eval()


def test_places_lie_deepest_inside_the_first_three_tissues() -> None:
    hu = body()
    places = query_places(hu, np.ones(hu.shape, bool))
    assert list(places) == ["soft tissue", "bone", "lung or gas"]
    assert hu[places["soft tissue"]] == 40
    assert (places["bone"], places["lung or gas"]) == ((60, 68), (45, 40))
    hu[hu == 700] = 40
    assert list(query_places(hu, np.ones(hu.shape, bool))) == ["soft tissue", "lung or gas", "fat"]


def test_air_and_padding_hold_no_place() -> None:
    hu = body()
    assert query_places(np.full((64, 64), -1000, np.float32), np.ones((64, 64), bool)) == {}
    valid = np.ones(hu.shape, bool)
    valid[:, :55] = False
    assert "lung or gas" not in query_places(hu, valid)


def test_cosines_written_out_slowly(network: MACNet) -> None:
    hu = body()
    reading = read_similarity(network, Slice(hu, np.ones(hu.shape, bool), 3.0, (0.8, 0.8)), 7)
    features = local_features(network, hu)
    assert (reading.index, reading.position, len(reading.queries)) == (7, 3.0, 3)
    for query in reading.queries:
        assert query.values.shape == hu.shape
        assert query.values[query.row, query.column] == pytest.approx(1, abs=1e-5)
        assert query.values.min() >= -1e-5  # features end with a ReLU
        assert query.values.max() <= 1 + 1e-5
        for y, x in ((0, 0), (60, 68), (89, 109)):
            wanted = float(features[:, y, x] @ features[:, query.row, query.column])
            assert query.values[y, x] == pytest.approx(wanted, abs=1e-5)


def test_features_are_those_of_the_local_map_where_nothing_has_to_be_padded(network: MACNet) -> None:
    hu = body(80, 96)  # with the margins of 8 pixels, a multiple of 16
    padded = np.pad(hu, 8, mode="reflect")
    units = OBJECTIVE.encode(torch.from_numpy(padded)[None, None])
    with torch.no_grad():
        local = network(units)[1][0, :, 8:-8, 8:-8].numpy()
    lengths = np.linalg.norm(local, axis=0)
    wanted = local / np.maximum(lengths, 1e-12)
    np.testing.assert_allclose(local_features(network, hu), wanted, atol=1e-5)
