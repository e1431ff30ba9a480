"""Networks by name and numbers, as the command line gives them."""

from __future__ import annotations

import inspect

import pytest

from lowdose import recipes
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import NON_NEGATIVE, Scale
from lowdose.network_spec import NETWORKS, NetworkSpec, network_names
from lowdose.training.denoisers import default_denoiser, parse_denoiser


@pytest.mark.parametrize("name", network_names())
def test_a_network_has_the_size_that_its_class_states(name: str) -> None:
    usual = default_denoiser(name)
    assert usual == parse_denoiser(name)
    assert usual.network.name == name
    taken = {parameter.name: parameter.default for parameter in inspect.signature(NETWORKS[name]).parameters.values()}
    assert {"slices": 1, **usual.network.settings} == {"slices": 1, **taken}
    assert usual.network.settings.get("slices") != 1  # as in checkpoints of earlier versions


@pytest.mark.parametrize("name", ["esau_net", "red_cnn", "unet"])
def test_recipes_that_are_networks_take_them_as_they_are(name: str) -> None:
    recipe = recipes.get_recipe(name)
    assert (recipe.network, recipe.scale) == (default_denoiser(name).network, default_denoiser(name).scale)  # type: ignore[union-attr]


def test_numbers_change_the_size_and_nothing_else() -> None:
    small = parse_denoiser("red_cnn:channels=32")
    assert small.network == NetworkSpec("red_cnn", {"channels": 32})
    assert small.scale == NON_NEGATIVE == Scale(zero=-1150.0, one=2000.0)
    assert parse_denoiser("unet:levels=2").network.settings == {"width": 32, "levels": 2}
    assert parse_denoiser("unet:slices=3").network.settings == {"width": 32, "levels": 4, "slices": 3}
    assert parse_denoiser("smgan").network.settings == {"channels": 32, "slices": 9}
    assert parse_denoiser("unet:levels=2,width=8").network.settings == {"width": 8, "levels": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "redcnn",
            "no network 'redcnn' to denoise with; there are cpce, du_gan, esau_net, gcn, map_nn, ",
        ),
        ("", "no network ''"),
        ("unet:", "'' is no setting of unet; write unet:width=32,levels=4"),
        ("unet:depth=3", "'depth=3' is no setting of unet"),
        ("unet:width", "'width' is no setting of unet"),
        ("unet:width=8,", "'' is no setting of unet"),
        ("unet:width=big", "width=big: must be a whole number from 1"),
        ("unet:width=0", "width=0: must be a whole number"),
        ("unet:width=-4", "width=-4: must be a whole number"),
        ("unet:width=1.5", "width=1.5: must be a whole number"),
        ("red_cnn:channels=99999", "parameters, at most 1,000,000,000"),
        ("unet:levels=99", "unet:levels=99"),
        ("unet:slices=2", "slices=2: must be odd"),
        ("cpce:slices=11", "slices=11: at most 9"),
        ("red_cnn:slices=3", "'slices=3' is no setting of red_cnn"),
    ],
)
def test_settings_that_make_no_network_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_denoiser(text)
    assert reason in str(caught.value)
