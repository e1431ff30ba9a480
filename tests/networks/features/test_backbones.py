"""DINOv2, CLIP and ResNet: tiny random networks saved to a folder, and their maps written out token by token."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Window
from lowdose.networks.features import backbones
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.registry import load_features
from support.feature_checks import CHECKS, images
from support.tiny_transformers import save

pytest.importorskip("transformers")

KINDS = {"dinov2": "dinov2", "registers": "dinov2", "clip": "clip", "clip_vision": "clip", "resnet": "resnet"}
PATCH = {"dinov2": 14, "registers": 14, "clip": 8, "clip_vision": 8}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    root = tmp_path_factory.mktemp("models")
    return {kind: (root / kind, save(kind, root / kind)) for kind in KINDS}


def seen(image: Tensor, normal: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    return torch.cat([(image - m) / s for m, s in zip(*normal, strict=True)], dim=1)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["registers", "clip", "resnet"])
def test_holds_what_any_features_hold(
    saved: dict[str, tuple[Path, Any]], kind: str, check: Callable[[FrozenFeatures, int, int], None]
) -> None:
    check(backbones.load_backbone_features(KINDS[kind], saved[kind][0]), 37, 50)


@pytest.mark.parametrize("kind", ["dinov2", "registers", "clip", "clip_vision"])
def test_tokens_become_maps_row_by_row(saved: dict[str, tuple[Path, Any]], kind: str) -> None:
    folder, network = saved[kind]
    features = backbones.load_backbone_features(KINDS[kind], folder)
    image = images(2, 40, 57)
    patch = PATCH[kind]
    rows, columns = -(-40 // patch), -(-57 // patch)
    padded = functional.pad(image, (0, columns * patch - 57, 0, rows * patch - 40))
    clip = KINDS[kind] == "clip"
    with torch.no_grad():
        pixels = seen(padded, CLIP if clip else IMAGENET)
        if kind == "clip":
            network = network.vision_model
        more = {"interpolate_pos_encoding": True} if clip else {}
        hidden = network(pixels, output_hidden_states=True, **more).hidden_states
        maps = features(image)
        assert list(maps) == ["block1", "block2", "block3"]
        first = 5 if kind == "registers" else 1
        for block, value in enumerate(maps.values(), start=1):
            tokens = hidden[block] if clip else network.layernorm(hidden[block])
            assert value.shape == (2, 32, rows, columns)
            for i in range(rows):
                for j in range(columns):
                    torch.testing.assert_close(value[:, :, i, j], tokens[:, first + i * columns + j])


@pytest.mark.parametrize("kind", ["dinov2", "clip"])
def test_a_spot_shows_where_it_is(saved: dict[str, tuple[Path, Any]], kind: str) -> None:
    features = backbones.load_backbone_features(KINDS[kind], saved[kind][0], ["block1"])
    patch = PATCH[kind]
    image = images(1, 3 * patch, 5 * patch)
    changed = image.clone()
    changed[..., patch : 2 * patch, 3 * patch : 4 * patch] += 0.3
    moved = (features(changed)["block1"] - features(image)["block1"]).square().sum(dim=1)[0]
    assert divmod(int(moved.argmax()), 5) == (1, 3)


def test_clip_at_its_own_size_sees_no_interpolation(saved: dict[str, tuple[Path, Any]]) -> None:
    folder, network = saved["clip_vision"]
    image = images(1, 32, 32)
    tokens = network(seen(image, CLIP), output_hidden_states=True).hidden_states[3][:, 1:]
    found = backbones.load_backbone_features("clip", folder)(image)["block3"]
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), tokens)


def test_resnet_stages_are_its_hidden_states(saved: dict[str, tuple[Path, Any]]) -> None:
    folder, network = saved["resnet"]
    features = backbones.load_backbone_features("resnet", folder, ["stem", "stage1", "stage2", "stage3", "stage4"])
    image = images(2, 45, 61)
    with torch.no_grad():
        expected = network(seen(image, IMAGENET), output_hidden_states=True).hidden_states
    maps = features(image)
    for value, other in zip(maps.values(), expected, strict=True):
        torch.testing.assert_close(value, other)
    assert [tuple(value.shape[-2:]) for value in maps.values()] == [(12, 16), (12, 16), (6, 8), (3, 4), (2, 2)]
    assert list(backbones.load_backbone_features("resnet", folder)(image)) == ["stage1", "stage2", "stage3", "stage4"]


def test_the_size_it_was_trained_at_on_request(saved: dict[str, tuple[Path, Any]]) -> None:
    features = backbones.load_backbone_features("dinov2", saved["dinov2"][0], trained_size=True)
    assert features(images(1, 100, 90))["block3"].shape == (1, 32, 4, 4)
    fitting = images(1, 56, 56)
    native = backbones.load_backbone_features("dinov2", saved["dinov2"][0])
    torch.testing.assert_close(features(fitting)["block3"], native(fitting)["block3"])
    resnet = backbones.load_backbone_features("resnet", saved["resnet"][0], trained_size=True)
    assert resnet(images(1, 40, 40))["stage4"].shape[-2:] == (7, 7)


def test_a_window_narrows_what_is_seen(saved: dict[str, tuple[Path, Any]]) -> None:
    whole = backbones.load_backbone_features("dinov2", saved["dinov2"][0])
    narrow = backbones.load_backbone_features("dinov2", saved["dinov2"][0], window=Window(-160, 240))
    image = images(1, 28, 28)
    inside = ((image * 3000 - 1000 + 160) / 400).clamp(0, 1)
    torch.testing.assert_close(narrow(image)["block2"], whole(inside)["block2"], atol=1e-4, rtol=1e-3)


def test_found_by_name_with_layers_and_window(saved: dict[str, tuple[Path, Any]]) -> None:
    image, window = images(1, 40, 40), Window(-160, 240)
    for name in backbones.FAMILIES:
        layer = "stage1" if name == "resnet" else "block1"
        found = load_features(name, str(saved[name][0]), layers=[layer], window=window)(image)
        direct = backbones.load_backbone_features(name, saved[name][0], [layer], window)(image)
        assert list(found) == [layer]
        assert torch.equal(found[layer], direct[layer])


@pytest.mark.parametrize(("kind", "side"), [("dinov2", 14), ("clip", 8), ("resnet", 32)])
def test_less_than_a_patch_is_refused(saved: dict[str, tuple[Path, Any]], kind: str, side: int) -> None:
    features = backbones.load_backbone_features(kind, saved[kind][0])
    with pytest.raises(ValueError, match=f"{kind} .*at least {side}"):
        features(torch.zeros(1, 1, side - 1, 64))
    assert all(value.isfinite().all() for value in features(torch.zeros(1, 1, side, side)).values())


def test_layers_can_be_chosen_and_others_are_named(saved: dict[str, tuple[Path, Any]]) -> None:
    assert list(backbones.load_backbone_features("clip", saved["clip"][0], ["block3", "block1"])(images(1, 8, 8))) == [
        "block1",
        "block3",
    ]
    for name, layer, words in (("dinov2", "block4", "block3"), ("resnet", "layer1", "stem, stage1")):
        with pytest.raises(InvalidSetting, match=rf"layer '{layer}' of {name}.*{words}"):
            backbones.load_backbone_features(name, saved[name][0], [layer])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["dinov2", "clip", "resnet"])
def test_same_maps_on_cuda(saved: dict[str, tuple[Path, Any]], kind: str) -> None:
    features, image = backbones.load_backbone_features(kind, saved[kind][0]), images(1, 40, 40)
    expected = features(image)
    for name, value in features.to("cuda")(image.to("cuda")).items():
        torch.testing.assert_close(value.cpu(), expected[name], atol=1e-3, rtol=1e-2)
