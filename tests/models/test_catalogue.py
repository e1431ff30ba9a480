"""All models by name with what their files say; one that is damaged hides no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.language import autoencoder_file
from lowdose.models import catalogue, checkpoint, install, model_info
from lowdose.models.checkpoint import TrainingDomain
from lowdose.models.classical import CLASSICAL
from lowdose.network_spec import NetworkSpec
from lowdose.networks import anatomy
from lowdose.networks.denoiser import Denoiser
from lowdose.weights import files, user_models
from lowdose.weights.identity import shipped_weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOWDOSE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale(high=1900))
    checkpoint.save_denoiser(
        path, denoiser, TrainingDomain(noise_sd=(1, 5), pixel_mm=(0.5, 0.5)), {"step": 3}, torch.float16
    )
    return path


def test_every_name_is_listed_with_its_kind() -> None:
    entries, problems = catalogue.list_entries()
    found = {entry.name: entry for entry in entries}
    assert set(found) == {*shipped_weights(), *CLASSICAL}
    assert problems == []
    for kind in ("denoiser", "anatomy", "autoencoder", "vocabulary"):
        for name, sha256 in shipped_weights(kind).items():
            entry = found[name]
            assert entry.info is not None
            assert (entry.origin, entry.info.kind, entry.info.sha256) == ("shipped", kind, sha256)
            assert entry.info.precision == ("int8" if kind == "vocabulary" else "float16")
            assert entry.card.startswith(f"# Model card: `{name}`")
    assert all(found[name].origin == "classical" and "L096" in found[name].card for name in CLASSICAL)


def test_parameters_are_those_of_the_network() -> None:
    networks: dict[str, torch.nn.Module] = {
        "anatomy": anatomy.load_anatomy(),
        autoencoder_file.DEFAULT: autoencoder_file.load_autoencoder().autoencoder,
    }
    networks |= {name: checkpoint.load_denoiser(name).denoiser for name in shipped_weights("denoiser")}
    for name, network in networks.items():
        stated = catalogue.find_entry(name).info
        assert stated is not None
        assert stated.parameters == sum(p.numel() for p in network.parameters()), name


def test_a_file_says_what_was_saved(file: Path) -> None:
    entry = catalogue.find_entry(str(file))
    assert entry.info == model_info.ModelInfo(
        kind="denoiser",
        network="unet",
        settings={"width": 4, "levels": 2},
        parameters=1657,
        ranges={"noise_sd": (1, 5), "noise_f_av": None, "pixel_mm": (0.5, 0.5), "thickness_mm": None},
        scale={"low": -1150, "high": 1900, "zero": 0, "one": 1000},
        local_means_px=4.0,
        training={"step": 3},
        precision="float16",
        size=file.stat().st_size,
        sha256=files.read_weights(file).sha256,
        rest={},
    )
    assert (entry.name, entry.origin, entry.card) == (str(file), "file", "")
    file.with_suffix(".md").write_text("# mine")
    assert catalogue.find_entry(str(file)).card == "# mine"


def test_what_else_a_header_holds_is_told(file: Path) -> None:
    found = files.read_weights(file)
    more = {"note": "[not JSON", "number": "3", "list": "[1, 2]", "context": "0"}
    save_file(found.tensors, file, {**found.header, **more})
    stated = catalogue.find_entry(str(file)).info
    assert stated is not None
    assert stated.rest == {"note": "[not JSON", "number": "3", "list": [1, 2], "context": "0"}


def test_an_added_model_is_one_of_them(file: Path, folder: Path) -> None:
    (file.parent / "card.md").write_text("# mine")
    install.install_model(file, "a")
    (folder / "card.md").write_text("of no model")
    install.install_model(folder / "a.safetensors", "b")
    (folder / "b.md").unlink()
    entries, problems = catalogue.list_entries()
    own = {entry.name: entry for entry in entries if entry.origin == "added"}
    assert {name: entry.card for name, entry in own.items()} == {"a": "# mine", "b": ""}
    assert own["a"].info == catalogue.find_entry("a").info == catalogue.find_entry(str(file)).info
    assert problems == []


def test_one_damaged_model_hides_no_other(file: Path, folder: Path) -> None:
    install.install_model(file, "a")
    install.install_model(file, "b")
    with user_models.weights_path("a").open("ab") as end:
        end.write(b"x")
    entries, problems = catalogue.list_entries()
    found = {entry.name: entry for entry in entries}
    assert found["a"].info is None
    assert found["b"].info is not None
    assert problems == [found["a"].problem]
    assert "lowdose models remove a" in problems[0]
    with pytest.raises(IncompatibleCheckpoint, match="SHA-256"):
        catalogue.find_entry("a")


def test_a_damaged_index_hides_nothing_shipped(folder: Path) -> None:
    folder.mkdir()
    (folder / "index.json").write_text("{")
    entries, problems = catalogue.list_entries()
    assert {entry.name for entry in entries} == {*shipped_weights(), *CLASSICAL}
    assert len(problems) == 1
    assert "is damaged" in problems[0]
    assert catalogue.find_entry("fast").origin == "shipped"


def test_an_added_name_that_a_later_version_ships(file: Path, folder: Path) -> None:
    install.install_model(file, "a")
    (folder / "a.safetensors").rename(folder / "fast.safetensors")
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({"fast": index["a"]}))
    _, problems = catalogue.list_entries()
    assert "'fast' is hidden" in problems[0]
    assert catalogue.find_entry("fast").origin == "shipped"
    assert checkpoint.load_denoiser("fast").sha256 == shipped_weights()["fast"]
    install.uninstall_model("fast")
    assert user_models.user_model_hashes() == {}
    assert catalogue.find_entry("fast").origin == "shipped"


@pytest.mark.parametrize(
    "header",
    [
        {"network": "{"},
        {"network": "{}"},
        {"network": '{"name": "unet", "settings": 3}'},
        {"domain": '{"noise_sd": [1]}'},
        {"domain": '{"noise_sd": ["a", "b"]}'},
        {"domain": '{"colour": [1, 2]}'},
        {"scale": "[1, 2]"},
        {"training": "[3]"},
    ],
)
def test_a_damaged_description(file: Path, header: dict[str, str]) -> None:
    found = files.read_weights(file)
    save_file(found.tensors, file, {**found.header, **header})
    with pytest.raises(IncompatibleCheckpoint, match=r"mine\.safetensors: its description is damaged"):
        model_info.read_model_info(files.read_weights(file), str(file))


def test_files_with_nan_or_of_other_formats_are_refused(file: Path, tmp_path: Path) -> None:
    found = files.read_weights(file)
    found.tensors["out.weight"].fill_(float("nan"))
    save_file(found.tensors, tmp_path / "nan.safetensors", found.header)
    with pytest.raises(IncompatibleCheckpoint, match="hold NaN"):
        catalogue.find_entry(str(tmp_path / "nan.safetensors"))
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(IncompatibleCheckpoint, match=r"'not stated', which is none of ours"):
        catalogue.find_entry(str(tmp_path / "other.safetensors"))
    save_file({"embeddings": torch.zeros(3)}, tmp_path / "later.safetensors", {"format": "lowdose-denoiser-9"})
    with pytest.raises(IncompatibleCheckpoint, match=r"'lowdose-denoiser-9', which is none of ours"):
        catalogue.find_entry(str(tmp_path / "later.safetensors"))
    with pytest.raises(IncompatibleCheckpoint, match=r"no model 'unnet': neither a file nor one of anatomy.*gaussian"):
        catalogue.find_entry("unnet")
