"""What all feature networks share: frozen in fact, any floating type, clear words about wrong shapes and layers."""

import pytest
import torch
from torch import Tensor, nn

from lowdose.errors import InvalidSetting
from lowdose.networks.features.base import FrozenFeatures, choose_layers, pad_far, seeded
from support.feature_checks import state_of


class Toy(FrozenFeatures):
    """One convolution, batch normalisation and dropout: three layers that training would show in."""

    def __init__(self) -> None:
        super().__init__("toy", nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5)), 5)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        return {"only": self.network(image)}


def test_stays_in_eval_mode_whatever_is_asked() -> None:
    toy = Toy()
    parent = nn.Sequential(toy, nn.Dropout())
    for call in (parent.train, toy.train, lambda: toy.train(True)):
        call()
        assert parent[1].training or call is not parent.train
        assert not any(module.training for module in toy.modules())
    x = torch.rand(4, 1, 8, 8)
    before = state_of(toy)
    assert torch.equal(toy(x)["only"], toy(x)["only"])
    assert state_of(toy) == before


def test_train_and_eval_return_the_module_itself() -> None:
    toy = Toy()
    assert toy.train() is toy
    assert toy.eval() is toy


@pytest.mark.parametrize(
    "shape", [(8, 8), (1, 8, 8), (2, 3, 8, 8), (2, 1, 4, 8), (2, 1, 8, 4), (1, 1, 1, 1), (1, 1, 0, 8), (1, 1, 8, 8, 8)]
)
def test_other_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"toy .*\({', '.join(map(str, shape))}\).*at least 5"):
        Toy()(torch.zeros(shape))


def test_the_smallest_size_works_and_an_empty_batch_too() -> None:
    assert Toy()(torch.zeros(1, 1, 5, 5))["only"].shape == (1, 3, 3, 3)
    assert Toy()(torch.zeros(0, 1, 5, 5))["only"].shape == (0, 3, 3, 3)


def test_computes_in_the_type_of_the_weights() -> None:
    assert Toy()(torch.zeros(1, 1, 5, 5, dtype=torch.float16))["only"].dtype == torch.float32
    assert Toy().double()(torch.zeros(1, 1, 5, 5))["only"].dtype == torch.float64


def test_layers_keep_the_order_of_the_network() -> None:
    known = ["a", "b", "c"]
    assert choose_layers("x", known, ["c", "a"], ["b"]) == ("a", "c")
    assert choose_layers("x", known, None, ["b"]) == ("b",)


@pytest.mark.parametrize("wanted", [["a", "d"], []])
def test_unknown_layers_and_none_at_all_say_what_there_is(wanted: list[str]) -> None:
    with pytest.raises(InvalidSetting, match=r"layer '(d|)' of x: .*a, b, c"):
        choose_layers("x", ["a", "b", "c"], wanted, ["b"])


def test_padding_is_air_below_and_right() -> None:
    image = torch.rand(2, 1, 5, 9) + 0.1
    padded = pad_far(image, 4)
    assert padded.shape == (2, 1, 8, 12)
    assert torch.equal(padded[..., :5, :9], image)
    assert not padded[..., 5:, :].any()
    assert not padded[..., 9:].any()
    assert pad_far(padded, 4) is padded


def test_seeded_weights_depend_on_the_seed_alone() -> None:
    def make() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3, bias=False))

    torch.manual_seed(1)
    first = seeded(make, 7)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again = seeded(make, 7)
    assert torch.equal(torch.get_rng_state(), state)
    assert state_of(first) == state_of(again) != state_of(seeded(make, 8))
    assert not first[0].bias.any()
    # He et al. 2015, eq. 10: a standard deviation of sqrt(2 / fan in).
    assert first[2].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
