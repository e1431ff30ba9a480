"""Folders of transformers in every state, and no network anywhere: what is refused, and what is told."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lowdose.errors import DownloadFailed, IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.features import backbones, hub
from support.tiny_transformers import save

OFFLINE = r"config\.json, model\.safetensors.*hf download .* --local-dir"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("models")
    for kind in ("dinov2", "resnet"):
        save(kind, root / kind)
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A DINOv2 to break."""
    return Path(shutil.copytree(made / "dinov2", tmp_path / "given"))


def change_weights(folder: Path, how: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / hub.WEIGHTS)
    how(tensors)
    save_file(tensors, folder / hub.WEIGHTS, {"format": "pt"})


def change_config(folder: Path, **changes: Any) -> None:
    stated = json.loads((folder / hub.CONFIG).read_text())
    (folder / hub.CONFIG).write_text(json.dumps({**stated, **changes}))


def refused(folder: Path, words: str, name: str = "dinov2") -> None:
    with pytest.raises(IncompatibleCheckpoint, match=words) as caught:
        backbones.load_backbone_features(name, folder)
    assert str(folder) in str(caught.value)


def test_a_good_folder_loads_without_a_word(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for given in (folder, str(folder)):
        assert backbones.load_backbone_features("dinov2", given).name == "dinov2"
    assert capfd.readouterr() == ("", "")


def test_the_clip_text_tower_is_left_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    save("clip", tmp_path)
    capfd.readouterr()
    network = backbones.load_backbone_features("clip", tmp_path).network
    assert capfd.readouterr() == ("", "")
    assert not [name for name, _ in network.named_parameters() if "text" in name]


def test_weights_of_the_file_are_those_of_the_network(folder: Path) -> None:
    tensors = load_file(folder / hub.WEIGHTS)
    loaded = backbones.load_backbone_features("dinov2", folder).network.state_dict()
    for name in ("embeddings.position_embeddings", "layernorm.weight"):
        assert torch.equal(loaded[name], tensors[name])


def test_half_precision_folders_are_computed_in_float32(folder: Path) -> None:
    change_weights(folder, lambda t: t.update({name: value.half() for name, value in t.items()}))
    change_config(folder, dtype="float16")
    assert {p.dtype for p in backbones.load_backbone_features("dinov2", folder).parameters()} == {torch.float32}


def test_the_folders_own_normalisation_is_taken(folder: Path) -> None:
    stated = {"image_mean": [0.53] * 3, "image_std": [0.26] * 3, "crop_size": 42}
    (folder / hub.PREPROCESSING).write_text(json.dumps(stated))
    features = backbones.load_backbone_features("dinov2", folder, trained_size=True)
    assert features.input_transform.mean.flatten().tolist() == pytest.approx([0.53] * 3)
    assert features.input_transform.std.flatten().tolist() == pytest.approx([0.26] * 3)
    assert features(torch.zeros(1, 1, 60, 60))["block3"].shape[-2:] == (3, 3)


def test_another_architecture_is_named(made: Path) -> None:
    refused(made / "resnet", r"config\.json.*'resnet'.*take dinov2 or dinov2_with_registers")
    refused(made / "dinov2", r"model_type is 'dinov2'.*take clip", "clip")
    refused(made / "dinov2", r"model_type is 'dinov2'.*take resnet", "resnet")


def test_missing_files_are_named(folder: Path) -> None:
    (folder / hub.WEIGHTS).rename(folder / "pytorch_model.bin")
    refused(folder, r"has no model\.safetensors.*pickled.*" + OFFLINE)
    (folder / hub.CONFIG).unlink()
    refused(folder, r"has no config\.json.*" + OFFLINE)


def test_weights_that_are_missing_are_not_made_up(folder: Path) -> None:
    change_weights(folder, lambda t: t.pop("encoder.layer.1.mlp.fc1.weight"))
    refused(folder, r"1 weights of Dinov2Model are not in model\.safetensors.*mlp\.fc1\.weight.*random")


def test_weights_of_another_network_under_a_right_config(folder: Path, made: Path) -> None:
    shutil.copy(made / "resnet" / hub.WEIGHTS, folder)
    refused(folder, r"weights of Dinov2Model are not in model\.safetensors")


def test_wrong_shapes_are_refused(folder: Path) -> None:
    change_config(folder, hidden_size=64)
    refused(folder, "cannot be loaded as Dinov2Model")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    change_weights(folder, lambda t: t["layernorm.bias"].fill_(value))
    refused(folder, r"'layernorm\.bias' hold NaN or infinity")


def test_damaged_weights_are_refused(folder: Path) -> None:
    whole = (folder / hub.WEIGHTS).read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        (folder / hub.WEIGHTS).write_bytes(content)
        refused(folder, "cannot be loaded as Dinov2Model .*copy its files again")


def test_a_damaged_config_is_refused(folder: Path) -> None:
    change_config(folder, num_hidden_layers="three")
    refused(folder, "cannot be loaded as Dinov2Model")
    (folder / hub.CONFIG).write_text("{")
    refused(folder, r"config\.json.*JSON")


def test_a_network_for_other_channels_is_refused(folder: Path) -> None:
    change_config(folder, num_channels=1)
    name = "embeddings.patch_embeddings.projection.weight"
    change_weights(folder, lambda t: t.update({name: t[name][:, :1].contiguous()}))
    refused(folder, "images of 1 channels")


def test_a_config_cannot_name_code_to_run(folder: Path) -> None:
    change_config(
        folder, _attn_implementation="someone/code", auto_map={"AutoModel": "modeling.Evil"}, return_dict=False
    )
    (folder / "modeling.py").write_text("raise SystemExit('this ran')")
    features = backbones.load_backbone_features("dinov2", folder)
    assert features.network.config._attn_implementation == "sdpa"
    assert features(torch.zeros(1, 1, 20, 20))["block1"].isfinite().all()


@pytest.mark.parametrize("given", ["no/such-model-of-anyone", "/no/such/folder", "no such folder", None])
def test_offline_the_way_to_the_files_is_told(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_library = pytest.importorskip("huggingface_hub")
    download = hub_library.snapshot_download
    asked: list[dict[str, Any]] = []

    def empty_cache(name: str, **how: Any) -> str:
        asked.append(how)
        return str(download(name, cache_dir=tmp_path, **how))

    monkeypatch.setattr(hub_library, "snapshot_download", empty_cache)
    with pytest.raises(IncompatibleCheckpoint, match=r"nothing is fetched unless allowed.*" + OFFLINE) as caught:
        backbones.load_backbone_features("dinov2", given)
    assert (given or "facebook/dinov2-base") in str(caught.value)
    assert [how["local_files_only"] for how in asked] == [True]


def test_a_fetch_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hub_library = pytest.importorskip("huggingface_hub")

    def unreachable(name: str, **how: Any) -> str:
        assert how["local_files_only"] is False
        raise OSError("no route")

    monkeypatch.setattr(hub_library, "snapshot_download", unreachable)
    with pytest.raises(
        DownloadFailed, match=r"'some/model'.*cannot be fetched.*hf download some/model .*--local-dir clip"
    ):
        backbones.load_backbone_features("clip", "some/model", fetch=True)


def test_what_the_hub_gives_is_checked_like_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub_library = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub_library, "snapshot_download", lambda name, **how: str(folder))
    assert backbones.load_backbone_features("dinov2", "some/model").name == "dinov2"
    (folder / hub.WEIGHTS).unlink()
    with pytest.raises(IncompatibleCheckpoint, match=r"has no model\.safetensors.*hf download some/model"):
        backbones.load_backbone_features("dinov2", "some/model")


@pytest.mark.parametrize("name", list(backbones.FAMILIES))
def test_without_the_package_the_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in [key for key in sys.modules if key == "transformers" or key.startswith("transformers.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InvalidSetting, match=rf"'{name}' need.*transformers.*pip install 'transformers>=5'"):
        backbones.load_backbone_features(name, tmp_path)
