"""Weights files below any network: what is stored, what is refused, and what is shipped with which checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lowdose.errors import IncompatibleCheckpoint
from lowdose.weights import files
from lowdose.weights.identity import shipped_weights


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    network(torch.randn(2, 1, 9, 9))
    return network


def write(folder: Path, content: bytes, name: str = "a.safetensors") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_what_is_packed_comes_back_whatever_its_layout(tmp_path: Path) -> None:
    network = small()
    network[0].weight.data = network[0].weight.data.contiguous(memory_format=torch.channels_last)
    content = files.serialise_weights(network, {"said": "this"})
    found = files.read_weights(write(tmp_path, content))
    assert (found.header, found.sha256) == ({"said": "this"}, hashlib.sha256(content).hexdigest())
    other = small(1)
    files.load_weights(other, found.tensors, "a", "the network")
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert next(other.parameters()).requires_grad


def test_half_precision_leaves_counts_alone_and_is_loaded_as_float32(tmp_path: Path) -> None:
    network = small()
    network[1].num_batches_tracked.fill_(70_001)  # more than float16 holds
    found = files.read_weights(write(tmp_path, files.serialise_weights(network, {}, torch.float16)))
    assert found.tensors["0.weight"].dtype == torch.float16
    with torch.device("meta"):
        other = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
    files.load_weights(other, found.tensors, "a", "the network")
    assert int(other[1].num_batches_tracked) == 70_001
    assert other[0].weight.dtype == torch.float32
    assert torch.equal(other[0].weight, network[0].weight.half().float())
    assert other.eval()(torch.randn(1, 1, 5, 5)).isfinite().all()


@pytest.mark.parametrize("kind", [torch.int8, torch.float64, torch.bfloat16])
def test_a_foreign_type_of_number_becomes_the_networks_own(kind: torch.dtype) -> None:
    network = small()
    tensors = {name: value.to(kind) for name, value in network.state_dict().items()}
    files.load_weights(network, tensors, "a", "the network")
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert network(torch.randn(2, 1, 5, 5)).isfinite().all()


@pytest.mark.parametrize("change", ["more", "fewer", "larger"])
def test_weights_of_another_network_are_refused(change: str) -> None:
    tensors = small().state_dict()
    if change == "more":
        tensors["2.weight"] = torch.zeros(1)
    elif change == "fewer":
        del tensors["0.bias"]
    else:
        tensors["0.bias"] = torch.zeros(4)
    with pytest.raises(IncompatibleCheckpoint, match=r"b\.safetensors: the weights do not fit the little network"):
        files.load_weights(small(), tensors, "b.safetensors", "the little network")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_failed_training_is_refused_and_the_network_left_alone(value: float) -> None:
    network, tensors = small(), small(1).state_dict()
    tensors["1.running_var"] = torch.full((3,), value)
    before = {name: kept.clone() for name, kept in network.state_dict().items()}
    with pytest.raises(IncompatibleCheckpoint, match=r"b: weights '1\.running_var' hold NaN or infinity"):
        files.load_weights(network, tensors, "b", "the network")
    assert all(torch.equal(kept, before[name]) for name, kept in network.state_dict().items())


def test_only_safetensors_files_that_are_there_are_read(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    write(tmp_path, b"PK", "model.pt")
    for name in ("gone.safetensors", "folder.safetensors", "model.pt"):
        with pytest.raises(IncompatibleCheckpoint, match=rf"{name}: only \.safetensors files are loaded"):
            files.read_weights(tmp_path / name)
    for content in (b"", b"\x00" * 40, b"\xff" * 7, files.serialise_weights(small(), {})[:-1]):
        with pytest.raises(IncompatibleCheckpoint, match="copy it again"):
            files.read_weights(write(tmp_path, content))


def test_a_file_without_a_header_has_an_empty_one(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    assert files.read_weights(tmp_path / "plain.safetensors").header == {}


def test_a_changed_bit_changes_the_checksum(tmp_path: Path) -> None:
    content = bytearray(files.serialise_weights(small(), {}))
    expected = hashlib.sha256(content).hexdigest()
    assert files.read_weights(write(tmp_path, bytes(content)), expected).sha256 == expected
    content[-1] ^= 1
    with pytest.raises(IncompatibleCheckpoint, match=f"not {expected[:16]}.*reinstall"):
        files.read_weights(write(tmp_path, bytes(content)), expected)


def test_every_shipped_file_has_the_checksum_and_a_known_kind() -> None:
    assert shipped_weights()
    for name, sha256 in shipped_weights().items():
        assert files.read_shipped(name).sha256 == sha256
    kinds = [shipped_weights(kind) for kind in ("denoiser", "anatomy", "autoencoder", "vocabulary")]
    assert {name for names in kinds for name in names} == set(shipped_weights())
    assert sum(map(len, kinds)) == len(shipped_weights())
    assert not shipped_weights("recipe")


def test_every_shipped_file_has_a_card() -> None:
    for name in shipped_weights():
        assert files.shipped_card(name).startswith(f"# Model card: `{name}`")


def test_an_added_file_is_read_by_name_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path))
    with pytest.raises(IncompatibleCheckpoint, match=r"no 'a' among the added models \(none\)"):
        files.read_added("a")
    content = files.serialise_weights(small(), {"said": "this"})
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "index.json").write_text(json.dumps({"a": {"kind": "denoiser", "sha256": sha256}}))
    with pytest.raises(IncompatibleCheckpoint, match=r"a\.safetensors: the file of the added model 'a' is gone"):
        files.read_added("a")
    found = files.read_weights(write(tmp_path, content))
    assert (found.size, files.read_added("a").header) == (len(content), {"said": "this"})
    write(tmp_path, files.serialise_weights(small(1), {}))
    with pytest.raises(
        IncompatibleCheckpoint, match=r"SHA-256 .* was replaced: 'lowdose models remove a', then add it"
    ):
        files.read_added("a")
    assert "a" not in shipped_weights()


def test_what_is_not_shipped_names_what_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncompatibleCheckpoint, match=r"no 'fest' among the shipped files \(.*fast"):
        files.read_shipped("fest")
    monkeypatch.setattr(files.resources, "files", lambda _: tmp_path)
    assert shipped_weights() == {}
    with pytest.raises(IncompatibleCheckpoint, match=r"\(none\)"):
        files.read_shipped("fast")
    sha256 = hashlib.sha256(write(tmp_path, files.serialise_weights(small(), {})).read_bytes()).hexdigest()
    (tmp_path / "index.json").write_text(json.dumps({"a": {"kind": "anatomy", "sha256": sha256}}))
    assert shipped_weights("anatomy") == {"a": sha256}
    assert shipped_weights("denoiser") == {}
    assert files.read_shipped("a").sha256 == sha256
