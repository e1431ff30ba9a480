"""Features by name: what there is, what each takes, and that finding out costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Window
from lowdose.networks.features import convs
from lowdose.networks.features.registry import FEATURE_NETWORKS, load_features
from lowdose.weights.identity import shipped_weights
from support.feature_checks import images


def test_importing_every_network_and_the_finder_leaves_the_heavy_libraries_alone() -> None:
    program = (
        "import sys, lowdose.networks, lowdose.networks.features.registry, lowdose.networks.features.lpips; "
        "print([name for name in ('transformers', 'huggingface_hub', 'torchvision', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["", "vgg", "VGG19", "dinov2-random", "lpips", "anatomy-random-random"])
def test_unknown_names_list_what_there_is(name: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load_features(name)
    assert all(known in str(caught.value) for known in FEATURE_NETWORKS)
    assert f"'{name}'" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FEATURE_NETWORKS if name.endswith("-random")])
def test_random_stand_ins_say_so_and_take_no_weights(name: str) -> None:
    features = load_features(name)
    assert features.name == name
    assert all(value.isfinite().all() for value in features(images(1, 40, 40)).values())
    with pytest.raises(InvalidSetting, match=rf"'{name}' are random and take no weights \(some\.pth\)"):
        load_features(name, "some.pth")


@pytest.mark.parametrize("name", list(convs.PLANS))
def test_random_weights_are_used_on_request_only(name: str) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=f"{name}-random"):
        load_features(name)


def test_weights_from_a_file(tmp_path: Path) -> None:
    state = convs.random_conv_features("alexnet", ["relu2"], seed=3).network.state_dict()
    save_file(state, tmp_path / "alexnet.safetensors")
    features = load_features("alexnet", str(tmp_path / "alexnet.safetensors"), layers=["relu2"])
    assert features.name == "alexnet"
    image = images(1, 40, 40)
    assert torch.equal(
        features(image)["relu2"], convs.random_conv_features("alexnet", ["relu2"], seed=3)(image)["relu2"]
    )


def test_layers_and_window_reach_the_network() -> None:
    image = images(1, 40, 40)
    narrow = load_features("alexnet-random", layers=["relu1"], window=Window(-160, 240))
    assert list(narrow(image)) == ["relu1"]
    assert not torch.equal(narrow(image)["relu1"], load_features("alexnet-random", layers=["relu1"])(image)["relu1"])
    assert list(load_features("anatomy-random", layers=["1/4"])(image)) == ["1/4"]


def test_anatomy_is_the_shipped_one_has_windows_of_its_own_and_takes_a_file(tmp_path: Path) -> None:
    if "anatomy" in shipped_weights():
        assert load_features("anatomy")(images(1, 33, 40))["full"].shape == (1, 16, 33, 40)
    else:
        with pytest.raises(IncompatibleCheckpoint, match="anatomy"):
            load_features("anatomy")
    with pytest.raises(InvalidSetting, match=r"windows of their own.*\[-160, 240\] HU"):
        load_features("anatomy", window=Window(-160, 240))
    with pytest.raises(IncompatibleCheckpoint, match=r"gone\.safetensors"):
        load_features("anatomy", tmp_path / "gone.safetensors")
