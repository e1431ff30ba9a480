"""LPIPS against its formula written out slowly, and what a distance must be."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.features import convs, lpips
from support.feature_checks import images, state_of

WIDTHS = {"vgg16": (64, 128, 256, 512, 512), "alexnet": (64, 192, 384, 256, 256)}


def biased(name: str) -> convs.ConvFeatures:
    """Random weights, with biases as pretrained networks have them."""
    features = convs.random_conv_features(name)
    generator = torch.Generator().manual_seed(1)
    for key, value in features.network.named_parameters():
        if "bias" in key:
            value.data.normal_(0.0, 0.1, generator=generator)
    return features


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of AlexNet in torchvision's names."""
    path = tmp_path_factory.mktemp("backbone") / "alexnet.safetensors"
    save_file(biased("alexnet").network.state_dict(), path)
    return path


def heads_of(name: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        f"lin{k}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for k, width in enumerate(WIDTHS[name])
    }


@pytest.fixture
def metric(backbone: Path, tmp_path: Path) -> lpips.Lpips:
    torch.save({**heads_of("alexnet"), "scaling_layer.shift": torch.zeros(3)}, tmp_path / "alex.pth")
    return lpips.load_lpips("alexnet", backbone, tmp_path / "alex.pth")


def slow_maps(name: str, weights: Mapping[str, Tensor], x: Tensor) -> list[Tensor]:
    """Every convolution by its index in torchvision's ``features``, the kept maps after their ReLU."""

    def conv(x: Tensor, index: int, **how: int) -> Tensor:
        return functional.conv2d(
            x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], **how
        ).relu()

    if name == "alexnet":
        a = conv(x, 0, stride=4, padding=2)
        b = conv(functional.max_pool2d(a, 3, 2), 3, padding=2)
        c = conv(functional.max_pool2d(b, 3, 2), 6, padding=1)
        d = conv(c, 8, padding=1)
        return [a, b, c, d, conv(d, 10, padding=1)]
    kept, index = [], 0
    for depth in (2, 2, 3, 3, 3):
        for _ in range(depth):
            x = conv(x, index, padding=1)
            index += 2
        kept.append(x)
        if len(kept) < 5:
            x, index = functional.max_pool2d(x, 2), index + 1
    return kept


def slow_distance(
    name: str, weights: Mapping[str, Tensor], heads: Mapping[str, Tensor], one: Tensor, other: Tensor
) -> float:
    """Zhang et al. 2018, eq. 1, on one pair of images in [-1, 1], pixel by pixel."""
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    both = torch.stack([one, other]).expand(2, 3, *one.shape[-2:])
    maps = slow_maps(name, weights, (both - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1))
    total = 0.0
    for k, map_ in enumerate(maps):
        head = heads[f"lin{k}.model.1.weight"].flatten()
        rows, columns = map_.shape[-2:]
        for i in range(rows):
            for j in range(columns):
                a, b = map_[0, :, i, j], map_[1, :, i, j]
                difference = a / (a.norm() + 1e-10) - b / (b.norm() + 1e-10)
                total += float((head * difference**2).sum()) / (rows * columns)
    return total


def check_formula(metric: lpips.Lpips, name: str, side: int) -> None:
    weights, heads = metric.features.network.state_dict(), heads_of(name)
    one, other = images(2, side, side + 5, 1), images(2, side, side + 5, 2)
    expected = [slow_distance(name, weights, heads, 2 * a - 1, 2 * b - 1) for a, b in zip(one, other, strict=True)]
    assert metric(one, other).tolist() == pytest.approx(expected, rel=1e-4)


def test_equals_the_formula_written_out_slowly(metric: lpips.Lpips) -> None:
    assert metric.name == "lpips-alexnet"
    check_formula(metric, "alexnet", 67)


def test_equals_the_formula_on_vgg16_too() -> None:
    check_formula(lpips.Lpips(biased("vgg16"), list(heads_of("vgg16").values())), "vgg16", 24)


def test_is_a_distance(metric: lpips.Lpips) -> None:
    one, other = images(3, 40, 50, 1), images(3, 40, 50, 2)
    assert metric(one, one).tolist() == [0.0, 0.0, 0.0]
    assert (metric(one, other) > 0).all()
    torch.testing.assert_close(metric(one, other), metric(other, one))
    nearer = one + 0.1 * (other - one)
    assert (metric(one, nearer) < metric(one, other)).all()


def test_images_of_a_batch_do_not_see_each_other(metric: lpips.Lpips) -> None:
    one, other = images(2, 40, 50, 1), images(2, 40, 50, 2)
    alone = torch.cat([metric(one[n : n + 1], other[n : n + 1]) for n in range(2)])
    torch.testing.assert_close(metric(one, other), alone)


def test_a_pixel_where_no_channel_fires_is_zero_and_has_a_gradient() -> None:
    map_ = torch.tensor([[0.0, 3.0], [0.0, 4.0]]).view(1, 2, 1, 2).requires_grad_(True)
    unit = lpips._unit(map_)
    assert unit.flatten().tolist() == pytest.approx([0.0, 0.6, 0.0, 0.8])
    unit.sum().backward()
    assert map_.grad is not None
    assert map_.grad.isfinite().all()


def test_half_precision_maps_do_not_overflow() -> None:
    unit = lpips._unit(torch.full((1, 4, 1, 1), 300.0, dtype=torch.float16))
    assert unit.flatten().tolist() == pytest.approx([0.5] * 4)


def test_gradient_reaches_both_images_and_no_weights(metric: lpips.Lpips) -> None:
    before = state_of(metric)
    one, other = images(1, 40, 40, 1).requires_grad_(True), images(1, 40, 40, 2).requires_grad_(True)
    parent = nn.ModuleList([metric]).train()
    metric(one, other).sum().backward()
    for image in (one, other):
        assert image.grad is not None
        assert image.grad.any()
    assert not [p for p in parent.parameters() if p.requires_grad]
    assert state_of(metric) == before


def test_under_autocast(metric: lpips.Lpips) -> None:
    one, other = images(1, 40, 40, 1), images(1, 40, 40, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = metric(one, other)
    assert under.dtype == torch.float32
    assert under.tolist() == pytest.approx(metric(one, other).tolist(), rel=0.1)


def test_a_random_stand_in_says_so() -> None:
    metric = lpips.random_lpips("vgg16")
    assert metric.name == "lpips-vgg16-random"
    assert metric(images(1, 16, 16), images(1, 16, 16)).item() == 0
    assert metric(images(1, 16, 16), images(1, 16, 16, 1)).item() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lin2.model.1.weight": -torch.ones(1, 384, 1, 1)}, r"'lin2\.model\.1\.weight' has values that are negative"),
        ({"lin2.model.1.weight": torch.full((1, 384, 1, 1), torch.nan)}, "no numbers"),
        ({"lin2.model.1.weight": torch.full((1, 384, 1, 1), torch.inf)}, "no numbers"),
        ({"lin2.model.1.weight": torch.ones(1, 256, 1, 1)}, r"\(1, 256, 1, 1\), not \(1, 384, 1, 1\)"),
        ({"lin2.model.1.weight": None}, r"no weights 'lin2\.model\.1\.weight'.*alex\.pth"),
    ],
)
def test_heads_that_make_no_distance_are_refused(
    backbone: Path, tmp_path: Path, change: dict[str, Tensor], words: str
) -> None:
    path = tmp_path / "heads.pth"
    torch.save({**heads_of("alexnet"), **change}, path)
    with pytest.raises(IncompatibleCheckpoint, match=words):
        lpips.load_lpips("alexnet", backbone, path)


def test_missing_parts_and_other_backbones_are_named(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=r"no LPIPS heads for 'vgg16'.*lin0\.model\.1\.weight"):
        lpips.load_lpips("vgg16", tmp_path / "vgg16.pth", None)
    save_file(heads_of("vgg16"), tmp_path / "heads.safetensors")
    with pytest.raises(IncompatibleCheckpoint, match=r"no weights for 'vgg16'.*torchvision"):
        lpips.load_lpips("vgg16", None, tmp_path / "heads.safetensors")
    for make in (lambda: lpips.load_lpips("vgg19", None, None), lambda: lpips.random_lpips("vgg19")):
        with pytest.raises(InvalidSetting, match=r"'vgg19'.*vgg16, alexnet"):
            make()
