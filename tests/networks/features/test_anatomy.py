"""The anatomy network as features: with random weights everywhere, and as shipped where it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.features import anatomy
from lowdose.networks.features.anatomy import LAYERS, AnatomyFeatures
from lowdose.networks.features.base import FrozenFeatures
from lowdose.weights.identity import shipped_weights
from support.feature_checks import CHECKS, images, state_of


@pytest.fixture(scope="module")
def features() -> AnatomyFeatures:
    """Random weights, and running statistics that normalisation over a batch would not give."""
    made = anatomy.random_anatomy_features()
    generator = torch.Generator().manual_seed(3)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_holds_what_any_features_hold(
    features: AnatomyFeatures, check: Callable[[FrozenFeatures, int, int], None]
) -> None:
    check(features, 33, 40)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(32, 100), width=st.integers(32, 100))
def test_maps_of_any_size_are_the_share_of_the_image(features: AnatomyFeatures, height: int, width: int) -> None:
    for stride, value in zip((1, 2, 4, 8, 16, 32), features(images(1, height, width)).values(), strict=True):
        assert value.shape[-2:] == (-(-height // stride), -(-width // stride))


def test_equals_the_network_on_fitting_sides_and_on_air_beyond(features: AnatomyFeatures) -> None:
    fitting, odd = images(1, 64, 96), images(1, 50, 70)
    with torch.no_grad():
        direct, found = features.network.features(fitting), features(fitting)
        assert list(found) == list(direct)
        assert all(torch.equal(found[name], value) for name, value in direct.items())
        beyond = features.network.features(functional.pad(odd, (0, 26, 0, 14)))
        for stride, (name, value) in zip((1, 2, 4, 8, 16, 32), features(odd).items(), strict=True):
            assert torch.equal(value, beyond[name][..., : -(-50 // stride), : -(-70 // stride)])


def test_too_small_is_said() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        anatomy.random_anatomy_features()(torch.zeros(1, 1, 31, 64))
    assert anatomy.random_anatomy_features()(torch.zeros(1, 1, 32, 32))["1/32"].shape == (1, 192, 1, 1)


def test_layers_can_be_chosen() -> None:
    assert list(anatomy.random_anatomy_features(["1/4", "full"])(images(1, 32, 32))) == ["full", "1/4"]
    with pytest.raises(InvalidSetting, match=r"layer 'half' of anatomy.*1/2"):
        AnatomyFeatures(Anatomy(), ["half"])


def test_random_weights_are_named_and_the_same_each_time() -> None:
    first = anatomy.random_anatomy_features()
    torch.manual_seed(5)
    assert first.name == "anatomy-random"
    assert (
        state_of(first)
        == state_of(anatomy.random_anatomy_features())
        != state_of(anatomy.random_anatomy_features(seed=1))
    )


def test_the_shipped_network_or_the_word_that_there_is_none() -> None:
    if "anatomy" in shipped_weights():
        shipped = anatomy.load_anatomy_features()
        assert shipped.name == "anatomy"
        assert all(value.isfinite().all() for value in shipped(images(1, 40, 50)).values())
        assert tuple(shipped.layers) == LAYERS
    else:
        with pytest.raises(IncompatibleCheckpoint, match="anatomy"):
            anatomy.load_anatomy_features()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=r"gone\.safetensors"):
        anatomy.load_anatomy_features(tmp_path / "gone.safetensors")
