"""VGG and AlexNet against layers applied one by one, and files of weights in every state."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Window
from lowdose.networks.features import convs
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.input_transform import MEANS_OF_255
from support.feature_checks import CHECKS, images, state_of

SHALLOW = ["relu1_2", "relu2_1"]
"""Three convolutions: enough to be wrong in, little to write to disk."""


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Weights of the shallow layers of VGG16 in torchvision's names, biases and all."""
    generator = torch.Generator().manual_seed(0)
    state = convs.random_conv_features("vgg16", SHALLOW).network.state_dict()
    return {
        name: torch.randn(value.shape, generator=generator) * 0.1 if "bias" in name else value.clone()
        for name, value in state.items()
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "layers"), [("vgg19", ["relu1_2", "conv2_2", "relu3_4"]), ("alexnet", None)])
def test_holds_what_any_features_hold(
    name: str, layers: list[str] | None, check: Callable[[FrozenFeatures, int, int], None]
) -> None:
    check(convs.random_conv_features(name, layers), *((9, 14) if name == "vgg19" else (33, 46)))


@pytest.mark.parametrize(
    ("name", "layers", "indices"),
    [
        ("vgg19", convs.USUAL["vgg19"], [3, 8, 17, 26, 35]),
        ("vgg19", ["conv5_4", "pool5"], [34, 36]),
        ("vgg16", convs.USUAL["vgg16"], [3, 8, 15, 22, 29]),
        ("alexnet", convs.USUAL["alexnet"], [1, 4, 7, 9, 11]),
    ],
)
def test_layers_lie_at_the_indices_of_torchvision(name: str, layers: list[str], indices: list[int]) -> None:
    assert [list(convs.layers_of(name)).index(layer) for layer in layers] == indices


def test_as_many_weights_as_published() -> None:
    assert sum(p.numel() for p in convs.random_conv_features("vgg16").parameters()) == 14_714_688
    assert sum(p.numel() for p in convs.random_conv_features("vgg19").parameters()) == 20_024_384
    assert sum(p.numel() for p in convs.random_conv_features("alexnet").parameters()) == 2_469_696


def test_vgg_written_out_layer_by_layer(tensors: Mapping[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "vgg16.safetensors"
    save_file(dict(tensors), path)
    image = images(2, 18, 23)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (image.expand(-1, 3, -1, -1) - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    conv1 = functional.conv2d(x, tensors["features.0.weight"], tensors["features.0.bias"], padding=1)
    conv2 = functional.conv2d(conv1.relu(), tensors["features.2.weight"], tensors["features.2.bias"], padding=1)
    pooled = functional.max_pool2d(conv2.relu(), 2)
    conv3 = functional.conv2d(pooled, tensors["features.5.weight"], tensors["features.5.bias"], padding=1)
    expected = {"conv1_1": conv1, "conv1_2": conv2, "relu1_2": conv2.relu(), "pool1": pooled, "relu2_1": conv3.relu()}
    found = convs.load_conv_features("vgg16", path, list(expected))(image)
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_alexnet_written_out_layer_by_layer() -> None:
    features = convs.random_conv_features("alexnet", ["relu1", "pool2", "relu3"])
    w = dict(features.network.state_dict())
    image = images(1, 70, 81)
    h1 = functional.conv2d(features.input_transform(image), w["features.0.weight"], stride=4, padding=2).relu()
    h2 = functional.conv2d(functional.max_pool2d(h1, 3, 2), w["features.3.weight"], padding=2).relu()
    h2 = functional.max_pool2d(h2, 3, 2)
    h3 = functional.conv2d(h2, w["features.6.weight"], padding=1).relu()
    for value, expected in zip(features(image).values(), (h1, h2, h3), strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("name", list(convs.PLANS))
def test_the_smallest_image_has_one_pixel_in_the_deepest_map(name: str) -> None:
    for layer in ("relu1", "pool2", "relu5") if name == "alexnet" else ("relu1_1", "pool2", "conv4_1"):
        features = convs.random_conv_features(name, [layer])
        side = features.smallest
        (value,) = features(images(1, side, side)).values()
        assert value.shape[-2:] == (1, 1)
        with pytest.raises(ValueError, match=f"at least {side}"):
            features(torch.zeros(1, 1, side - 1, side))


def test_odd_sizes_are_rounded_down_at_every_pool() -> None:
    features = convs.random_conv_features("vgg16", ["relu1_1", "pool1", "pool2", "pool3"])
    assert [tuple(value.shape) for value in features(images(1, 27, 13)).values()] == [
        (1, 64, 27, 13),
        (1, 64, 13, 6),
        (1, 128, 6, 3),
        (1, 256, 3, 1),
    ]


def test_asking_for_a_convolution_itself_does_not_change_what_follows() -> None:
    image = images(1, 16, 16)
    alone = convs.random_conv_features("vgg16", ["relu1_2"])(image)
    both = convs.random_conv_features("vgg16", ["conv1_2", "relu1_2"])(image)
    assert torch.equal(alone["relu1_2"], both["relu1_2"])
    assert (both["conv1_2"] < 0).any()
    assert torch.equal(both["conv1_2"].relu(), both["relu1_2"])


def test_window_and_convention_reach_the_network() -> None:
    image = images(1, 16, 16)
    plain = convs.random_conv_features("vgg16", SHALLOW)
    narrow = convs.random_conv_features("vgg16", SHALLOW, Window(-160, 240))
    scaled = convs.random_conv_features("vgg16", SHALLOW, statistics=MEANS_OF_255)
    inside = (image.mul(3000).sub(1000).add(160) / 400).clamp(0, 1)
    torch.testing.assert_close(narrow(image)["relu2_1"], plain(inside)["relu2_1"], atol=1e-4, rtol=1e-3)
    assert scaled(image)["relu2_1"].std() > 30 * plain(image)["relu2_1"].std()


@pytest.mark.parametrize("kind", ["safetensors", "pth", "pt", "old.pth"])
def test_reads_every_kind_of_file_and_leaves_what_it_does_not_need(
    tensors: Mapping[str, Tensor], tmp_path: Path, kind: str
) -> None:
    given = {**tensors, "classifier.0.weight": torch.ones(2, 2), "features.30.weight": torch.ones(1)}
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(given, path)
    else:
        torch.save(given, path, _use_new_zipfile_serialization=kind != "old.pth")
    features = convs.load_conv_features("vgg16", path, SHALLOW)
    assert features.name == "vgg16"
    assert {name: value.tolist() for name, value in features.network.state_dict().items()} == {
        name: value.tolist() for name, value in tensors.items()
    }
    assert not any(p.requires_grad for p in features.parameters())


def test_half_precision_weights_become_float32(tensors: Mapping[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: value.half() for name, value in tensors.items()}, path)
    assert {p.dtype for p in convs.load_conv_features("vgg16", path, SHALLOW).parameters()} == {torch.float32}


def _broken(tensors: Mapping[str, Tensor]) -> dict[str, tuple[dict[str, object], str]]:
    first = tensors["features.0.weight"]
    return {
        "another network": ({"conv1.weight": first}, r"no weights 'features\.0\.weight'.*torchvision"),
        "one missing": (
            {k: v for k, v in tensors.items() if k != "features.5.bias"},
            r"no weights 'features\.5\.bias'",
        ),
        "wrong shape": (
            {**tensors, "features.0.weight": first[:, :1].clone()},
            r"\(64, 1, 3, 3\), not \(64, 3, 3, 3\)",
        ),
        "quantised": ({**tensors, "features.0.weight": first.char()}, r"'features\.0\.weight' is torch\.int8"),
        "NaN": ({**tensors, "features.2.bias": torch.full((64,), torch.nan)}, r"'features\.2\.bias' hold NaN"),
        "infinity": (
            {**tensors, "features.2.bias": torch.full((64,), torch.inf)},
            r"'features\.2\.bias' hold NaN or inf",
        ),
    }


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("case", ["another network", "one missing", "wrong shape", "quantised", "NaN", "infinity"])
def test_weights_that_do_not_fit_are_refused(
    tensors: Mapping[str, Tensor], tmp_path: Path, case: str, kind: str
) -> None:
    given, words = _broken(tensors)[case]
    path = tmp_path / f"vgg.{kind}"
    save_file(given, path) if kind == "safetensors" else torch.save(given, path)
    with pytest.raises(IncompatibleCheckpoint, match=words) as caught:
        convs.load_conv_features("vgg16", path, SHALLOW)
    assert str(path) in str(caught.value)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["LOWDOSE_TEST_BOMB"],)


def test_a_pickle_that_runs_code_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "ran"
    monkeypatch.setenv("LOWDOSE_TEST_BOMB", str(target))
    path = tmp_path / "bomb.pth"
    torch.save({"features.0.weight": Bomb()}, path)
    with pytest.raises(IncompatibleCheckpoint, match=r"bomb\.pth.*could run code"):
        convs.load_conv_features("vgg16", path)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle at all", b"PK\x03\x04 cut short"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(content)
        with pytest.raises(IncompatibleCheckpoint, match=rf"damaged\.{suffix}"):
            convs.load_conv_features("vgg16", path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pt"
    torch.save([torch.ones(1)], path)
    with pytest.raises(IncompatibleCheckpoint, match="holds a list"):
        convs.load_conv_features("vgg16", path)
    torch.save({"features.0.weight": 3}, path)
    with pytest.raises(IncompatibleCheckpoint, match=r"no weights 'features\.0\.weight'"):
        convs.load_conv_features("vgg16", path)


@pytest.mark.parametrize("path", [None, Path("gone.pth"), Path("gone.safetensors"), Path("weights.bin")])
def test_without_weights_the_way_to_them_is_told(path: Path | None, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(IncompatibleCheckpoint, match=r"torchvision\.models\.vgg19.*vgg19-random") as caught:
        convs.load_conv_features("vgg19", path if path is None else tmp_path / path)
    assert ("vgg19" if path is None else path.name) in str(caught.value)


def test_unknown_layers_are_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidSetting, match=r"layer 'relu3_4' of vgg16.*relu3_3"):
        convs.load_conv_features("vgg16", Path("gone.pth"), ["relu3_4"])


def test_random_weights_are_named_the_same_each_time_and_the_same_however_deep() -> None:
    torch.manual_seed(1)
    first = convs.random_conv_features("vgg16", SHALLOW)
    torch.manual_seed(2)
    assert first.name == "vgg16-random"
    assert state_of(first) == state_of(convs.random_conv_features("vgg16", SHALLOW))
    assert state_of(first) != state_of(convs.random_conv_features("vgg16", SHALLOW, seed=1))
    image = images(1, 16, 16)
    deeper = convs.random_conv_features("vgg16", ["relu1_2", "relu3_1"])
    assert torch.equal(first(image)["relu1_2"], deeper(image)["relu1_2"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_maps_on_cuda() -> None:
    features, image = convs.random_conv_features("vgg16", SHALLOW), images(1, 40, 40)
    expected = features(image)
    for name, value in features.to("cuda")(image.to("cuda")).items():
        torch.testing.assert_close(value.cpu(), expected[name], atol=1e-3, rtol=1e-2)
