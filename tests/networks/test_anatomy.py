"""The anatomy network: its size, what it is shown, what it answers, and which files it is loaded from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks import anatomy
from lowdose.networks.anatomy import FORMAT, MULTIPLE, WIDTHS, Anatomy
from lowdose.networks.denoiser import Denoiser
from lowdose.organ_classes import CLASSES
from lowdose.weights import files
from lowdose.weights.identity import shipped_weights


def network(seed: int = 0) -> Anatomy:
    torch.manual_seed(seed)
    return Anatomy()


def slices(count: int = 1, side: int = 64) -> torch.Tensor:
    """(count, 1, side, side) in the unit of ``OBJECTIVE``: a disc of tissue in air, and noise."""
    y, x = torch.meshgrid(*[torch.arange(side) - side / 2] * 2, indexing="ij")
    disc = torch.where(torch.hypot(y, x) < side / 3, 50.0, -1000.0)
    return OBJECTIVE.encode(disc + 20 * torch.randn(count, 1, side, side))


def test_small_enough_to_ship() -> None:
    made = network()
    assert sum(p.numel() for p in made.parameters()) <= 4_000_000
    assert len(anatomy.serialise_anatomy(made, {"steps": 6000}, torch.float16)) <= 8_000_000


@pytest.mark.parametrize("shape", [(64, 64), (32, 96), (32, 32)])
def test_answers_at_half_resolution_and_keeps_maps_of_every_level(shape: tuple[int, int]) -> None:
    made, image = network().eval(), torch.rand(1, 1, *shape)
    with torch.no_grad():
        assert made(image).shape == (1, len(CLASSES), shape[0] // 2, shape[1] // 2)
        maps = made.features(image)
    assert list(maps) == ["full", "1/2", "1/4", "1/8", "1/16", "1/32"]
    for level, (value, width) in enumerate(zip(maps.values(), WIDTHS, strict=True)):
        assert value.shape == (1, width, shape[0] >> level, shape[1] >> level)


@pytest.mark.parametrize("shape", [(64, 65), (48, 64), (1, 32)])
def test_other_sides_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"multiples of {MULTIPLE}"):
        network().eval()(torch.zeros(1, 1, *shape))


def test_is_shown_the_whole_range_and_a_soft_tissue_window() -> None:
    hu = torch.tensor([-2000.0, -1000.0, -160.0, 40.0, 140.0, 240.0, 1500.0, 5000.0])
    shown = []
    made = network().eval()
    made.stem.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    with torch.no_grad():
        made(OBJECTIVE.encode(hu)[:, None, None, None].expand(8, 1, 32, 32))
    whole, soft = shown[0][:, :, 0, 0].T
    torch.testing.assert_close(whole, torch.tensor([-1.1, -1.0, -0.16, 0.04, 0.14, 0.24, 1.5, 2.0]))
    torch.testing.assert_close(soft, torch.tensor([-1.0, -1.0, -1.0, 0.0, 0.5, 1.0, 1.0, 1.0]), atol=1e-5, rtol=0)


def test_every_weight_takes_part() -> None:
    made = network()
    functional.cross_entropy(made(slices(2)), torch.ones(2, 32, 32, dtype=torch.int64)).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_learns_one_batch() -> None:
    made, image = network(), slices(2)
    wanted = (functional.avg_pool2d(OBJECTIVE.decode(image), 2)[:, 0] > -500).long()
    optimiser = torch.optim.Adam(made.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = functional.cross_entropy(made(image), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert (made(image).argmax(1) == wanted).float().mean() > 0.95


def test_one_slice_of_a_batch_does_not_see_the_others() -> None:
    made, image = network().eval(), slices(3)
    with torch.no_grad():
        together = made(image)
        for n in range(3):
            torch.testing.assert_close(made(image[n : n + 1]), together[n : n + 1], atol=1e-4, rtol=1e-4)


def save(folder: Path, made: Anatomy, dtype: torch.dtype = torch.float32) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(anatomy.serialise_anatomy(made, {"steps": 3}, dtype))
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_saved_comes_back_ready_for_use(dtype: torch.dtype, tmp_path: Path) -> None:
    made = network()
    made(slices(2))  # statistics and counts that no fresh network has
    found = anatomy.load_anatomy(save(tmp_path, made, dtype))
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())
    for name, value in made.state_dict().items():
        assert torch.equal(found.state_dict()[name], value.to(dtype).float() if value.is_floating_point() else value)
    image = slices()
    close = 1e-4 if dtype == torch.float32 else 0.05  # weights are laid out anew: sums round in another order
    with torch.no_grad():
        torch.testing.assert_close(found(image), made.eval()(image), atol=close, rtol=close)


def test_a_file_says_how_it_was_trained(tmp_path: Path) -> None:
    header = files.read_weights(save(tmp_path, network())).header
    assert header["format"] == FORMAT
    assert tuple(json.loads(header["classes"])) == CLASSES
    assert json.loads(header["training"]) == {"steps": 3}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({}, "its format is 'not stated'.*'lowdose train anatomy' writes one"),
        ({"format": FORMAT + "0"}, f"its format is '{FORMAT}0'"),
        ({"format": FORMAT}, "trained on other classes; train it anew"),
        ({"format": FORMAT, "classes": "["}, "trained on other classes"),
        ({"format": FORMAT, "classes": "5"}, "trained on other classes"),
        ({"format": FORMAT, "classes": json.dumps(CLASSES[::-1])}, "trained on other classes"),
    ],
)
def test_a_foreign_description_is_refused(header: dict[str, str], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(files.serialise_weights(network(), header))
    with pytest.raises(IncompatibleCheckpoint, match=rf"odd\.safetensors: .*{reason}"):
        anatomy.load_anatomy(path)


def test_foreign_and_failed_weights_are_refused(tmp_path: Path) -> None:
    made = network()
    torch.nn.init.constant_(made.head.bias, float("nan"))
    with pytest.raises(IncompatibleCheckpoint, match=r"model.*'head\.bias' hold NaN"):
        anatomy.load_anatomy(save(tmp_path, made))
    made.head = torch.nn.Conv2d(WIDTHS[1], 3, 1)
    with pytest.raises(IncompatibleCheckpoint, match="do not fit the anatomy network"):
        anatomy.load_anatomy(save(tmp_path, made))
    with pytest.raises(IncompatibleCheckpoint, match=r"gone\.safetensors"):
        anatomy.load_anatomy(tmp_path / "gone.safetensors")


def test_denoisers_and_anatomy_networks_are_not_taken_for_each_other(tmp_path: Path) -> None:
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale())
    checkpoint.save_denoiser(tmp_path / "unet.safetensors", denoiser, TrainingDomain(), {})
    with pytest.raises(IncompatibleCheckpoint, match=f"'{checkpoint.FORMAT}', an anatomy network has '{FORMAT}'"):
        anatomy.load_anatomy(tmp_path / "unet.safetensors")
    with pytest.raises(IncompatibleCheckpoint, match=f"'{FORMAT}', a denoiser has '{checkpoint.FORMAT}'"):
        checkpoint.load_denoiser(str(save(tmp_path, network())))


def test_no_denoiser_is_made_of_it(tmp_path: Path) -> None:
    described = {
        "format": checkpoint.FORMAT, "network": json.dumps({"name": "anatomy", "settings": {}}),
        "scale": json.dumps(Scale().to_dict()), "domain": "{}", "training": "{}",
    }  # fmt: skip
    (tmp_path / "a.safetensors").write_bytes(files.serialise_weights(network(), described))
    with pytest.raises(IncompatibleCheckpoint, match="'anatomy' is not known"):
        checkpoint.load_denoiser(str(tmp_path / "a.safetensors"))


@pytest.mark.skipif(not shipped_weights("anatomy"), reason="no anatomy network is shipped yet")
def test_the_shipped_one_loads() -> None:
    assert anatomy.load_anatomy()(slices())[0, :, 0, 0].argmax() == 0  # the corner is air
