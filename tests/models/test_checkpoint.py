"""Weights files: what is saved comes back; what is damaged or foreign is refused with a way out."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import lowdose
from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.models.checkpoint import FORMAT, TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.weights import files
from lowdose.weights.identity import shipped_weights


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Denoiser, str]:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale(high=1900))
    torch.nn.init.normal_(denoiser.network.out.weight)
    path = tmp_path / "model.safetensors"
    return path, denoiser, checkpoint.save_denoiser(path, denoiser, TrainingDomain(noise_sd=(10, 40)), {"step": 3})


def test_what_is_saved_comes_back(saved: tuple[Path, Denoiser, str]) -> None:
    path, denoiser, sha256 = saved
    model = checkpoint.load_denoiser(str(path))
    assert (model.name, model.sha256, model.training) == (path.parent.name, sha256, {"step": 3})
    assert model.domain == TrainingDomain(noise_sd=(10, 40))
    assert model.denoiser.scale == denoiser.scale
    hu = torch.randn(1, 1, 20, 20) * 100
    assert torch.equal(model.denoiser.denoise(hu), denoiser.eval().denoise(hu))
    assert list(path.parent.iterdir()) == [path]


def test_half_precision_halves_the_file_and_loads_as_float32(saved: tuple[Path, Denoiser, str]) -> None:
    path, denoiser, _ = saved
    size = path.stat().st_size
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {}, torch.float16)
    assert path.stat().st_size < 0.6 * size
    loaded = checkpoint.load_denoiser(str(path)).denoiser.network.state_dict()
    for name, value in denoiser.network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], value.half().float())


def rewrite(path: Path, **header: str) -> None:
    with safe_open(path, framework="pt") as file:
        old = dict(file.metadata())
    save_file(load_file(path), path, {**old, **header})


def test_shipped_checksum_is_checked_at_every_load(
    saved: tuple[Path, Denoiser, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, sha256 = saved
    monkeypatch.setattr(files.resources, "files", lambda _: path.parent)
    (path.parent / "index.json").write_text(json.dumps({"model": {"kind": "denoiser", "sha256": sha256}}))
    assert checkpoint.load_denoiser("model").name == "model"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IncompatibleCheckpoint, match="damaged, reinstall"):
        checkpoint.load_denoiser("model")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "ran"),))  # type: ignore[return-value]

    for name in ("model.pt", "model.pth", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(IncompatibleCheckpoint, match="safetensors"):
            checkpoint.load_denoiser(str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


def test_nan_weights(saved: tuple[Path, Denoiser, str]) -> None:
    path, denoiser, _ = saved
    denoiser.network.out.weight.data[0] = float("nan")
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {})
    with pytest.raises(IncompatibleCheckpoint, match=r"out\.weight.*NaN"):
        checkpoint.load_denoiser(str(path))


def test_another_kind_of_checkpoint(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(IncompatibleCheckpoint, match="not stated"):
        checkpoint.load_denoiser(str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize(
    "header",
    [
        {"network": json.dumps({"name": "unet", "settings": {"width": 5, "levels": 2}})},
        {"network": json.dumps({"name": "no_such_network", "settings": {}})},
        {"network": json.dumps({"name": "unet", "settings": {"widths": 4}})},
        {"network": "{"},
        {"scale": json.dumps({"low": 5.0, "high": 1.0})},
        {"scale": json.dumps({"lo": 5.0})},
        {"domain": json.dumps({"colour": [1, 2]})},
        {"domain": json.dumps({"noise_sd": [1]})},
        {"domain": json.dumps({"noise_sd": ["a", "b"]})},
        {"domain": json.dumps([1, 2])},
        {"network": json.dumps({"name": "unet", "settings": {"width": -4, "levels": 2}})},
        {"network": json.dumps({"name": "unet", "settings": {"width": 4, "levels": 5000}})},
        {"network": json.dumps({"name": "unet", "settings": {"width": 100000, "levels": 8}})},
        {"format": FORMAT + "0"},
    ],
)
def test_damaged_description(saved: tuple[Path, Denoiser, str], header: dict[str, str]) -> None:
    rewrite(saved[0], **header)
    with pytest.raises(Exception, match=r"model\.safetensors") as caught:
        checkpoint.load_denoiser(str(saved[0]))
    assert caught.type.__module__ == "lowdose.errors"


@pytest.mark.parametrize("context", [0, 1, 2])
def test_context_comes_back(tmp_path: Path, context: int) -> None:
    torch.manual_seed(0)
    spec = NetworkSpec("unet", {"width": 4, "levels": 2, **({"slices": 2 * context + 1} if context else {})})
    denoiser, path = Denoiser(spec, Scale(), context), tmp_path / "model.safetensors"
    torch.nn.init.normal_(denoiser.network.out.weight)
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {})
    with safe_open(path, framework="pt") as file:
        stated = file.metadata().get("context")
    assert stated == (str(context) if context else None)  # files without context stay what they were
    loaded = checkpoint.load_denoiser(str(path)).denoiser
    assert loaded.context == context
    hu = torch.randn(1, 2 * context + 1, 20, 20) * 100
    assert torch.equal(loaded.denoise(hu), denoiser.eval().denoise(hu))


@pytest.mark.parametrize("width", [None, 0.0, 1.2345678901])
def test_width_of_the_kept_means_comes_back(tmp_path: Path, width: float | None) -> None:
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale(), noise_free=True, stated_means_px=width)
    checkpoint.save_denoiser(tmp_path / "model.safetensors", denoiser, TrainingDomain(), {})
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert ("local_means_px" in file.metadata()) == (width is not None)  # other files stay what they were
    loaded = checkpoint.load_denoiser(str(tmp_path / "model.safetensors")).denoiser
    assert loaded.stated_means_px == width
    assert loaded.local_means_px == (2.5 if width is None else width)


@pytest.mark.parametrize("stated", ["-1", "nan", "wide"])
def test_a_width_of_means_that_is_none_is_damage(saved: tuple[Path, Denoiser, str], stated: str) -> None:
    rewrite(saved[0], local_means_px=stated)
    with pytest.raises(IncompatibleCheckpoint, match="description is damaged"):
        checkpoint.load_denoiser(str(saved[0]))


@pytest.mark.parametrize("stated", ["0", "2", "-1", "one", "1.0", ""])
def test_a_context_that_does_not_fit_the_network_is_damage(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "model.safetensors"
    three = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2, "slices": 3}), Scale(), 1)
    checkpoint.save_denoiser(path, three, TrainingDomain(), {})
    rewrite(path, context=stated)
    with pytest.raises(IncompatibleCheckpoint, match="description is damaged"):
        checkpoint.load_denoiser(str(path))


def test_a_network_of_one_slice_with_context_is_damage(saved: tuple[Path, Denoiser, str]) -> None:
    rewrite(saved[0], context="1")
    with pytest.raises(IncompatibleCheckpoint, match=r"context 1: 3 slices, but network 'unet' .* takes 1"):
        checkpoint.load_denoiser(str(saved[0]))
    network = {"name": "unet", "settings": {"width": 4, "levels": 2, "slices": 2}}
    rewrite(saved[0], context="0", network=json.dumps(network))
    with pytest.raises(IncompatibleCheckpoint, match="must be odd"):
        checkpoint.load_denoiser(str(saved[0]))


def test_truncated_and_missing(saved: tuple[Path, Denoiser, str], tmp_path: Path) -> None:
    path = saved[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IncompatibleCheckpoint, match="copy it again"):
        checkpoint.load_denoiser(str(path))
    with pytest.raises(IncompatibleCheckpoint, match="shipped models"):
        checkpoint.load_denoiser(str(tmp_path / "absent.safetensors"))
    with pytest.raises(IncompatibleCheckpoint, match=r"only \.safetensors"):
        checkpoint.load_denoiser(str(tmp_path))


@pytest.mark.parametrize("name", sorted(shipped_weights("denoiser")))
def test_every_shipped_model_loads_and_is_described(name: str) -> None:
    model = checkpoint.load_denoiser(name)
    assert model.domain != replace(model.domain, noise_sd=None)
    card = Path(lowdose.__file__).parent / "zoo" / f"{name}.md"
    text = card.read_text()
    for word in ("L096", "research use", "not a medical device", "Limits"):
        assert word.lower() in text.lower()
    hu = torch.full((1, 1, 64, 64), 50.0)
    assert float((model.denoiser.denoise(hu) - hu).abs().max()) < 5.0
