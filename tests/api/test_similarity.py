"""``explain --similarity`` as a user meets it: pictures, a page, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lowdose
from lowdose import cli
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.anatomy_discriminator import AnatomyDiscriminator
from lowdose.networks.critic import patch_critic
from lowdose.networks.features.registry import load_features
from lowdose.networks.features.semantic import map_channels
from lowdose.networks.mac_net import MACNet
from lowdose.weights.artefact import serialise_artefact
from support.ct_pair import CTPair


def write(folder: Path, name: str, module: torch.nn.Module) -> Path:
    folder.mkdir()
    (folder / "mac_net.safetensors").write_bytes(serialise_artefact(name, module, "ascon", folder.name, {}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return write(tmp_path / "run", "mac_net", MACNet(2))


def test_pictures_and_page_of_a_series_without_its_patient(
    run: Path, ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.run(["explain", str(ct_pair.quarter), "--out", str(out), "--similarity", str(run), "--slices", "2"]) == 0
    assert "2 of 6 slices" in capfd.readouterr().err
    pictures = sorted(file.name for file in out.glob("*.png"))
    assert len(pictures) == 2
    assert sorted(file.name for file in out.iterdir()) == ["index.html", *pictures]
    page = (out / "index.html").read_text()
    assert page.count("data:image/png") == 2
    assert "1: soft tissue, row" in page
    assert "is this project's" in page
    assert str(run.parent) not in page


def test_in_python_it_is_the_same_without_files(run: Path) -> None:
    hu = np.full((3, 64, 64), 50, np.float32)
    hu[2] = -1000
    found = lowdose.similar_places(hu, run / "mac_net.safetensors", spacing=(3, 1, 1), slices=0)
    record = found.to_dict()
    assert (record["slices"], [len(read["places"]) for read in record["read"]]) == (3, [1, 1, 0])
    assert record["read"][0]["places"][0]["tissue"] == "soft tissue"
    assert "data:image/png" in found._repr_html_()


def test_attention_of_a_discriminator(ct_pair: CTPair, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = {"features": "anatomy 0123"}
    for name, semantic in (("alden", map_channels(load_features("anatomy"))), ("plain", [])):
        (tmp_path / name).mkdir()
        content = serialise_artefact("discriminator", AnatomyDiscriminator(semantic, 4), "alden", name, made)
        (tmp_path / name / "discriminator.safetensors").write_bytes(content)
    found = lowdose.similar_places(ct_pair.quarter, tmp_path / "alden", slices=1)
    assert found.kind == found.to_dict()["kind"] == "attention"
    (reading,) = found.readings
    assert len(reading.queries) == 3
    for query in reading.queries:
        assert query.values.shape == reading.hu.shape
        assert query.values.mean() == pytest.approx(1, abs=0.05)  # 1 is as much as everywhere
    found.save(tmp_path / "out")
    assert "Where the discriminator of an ALDEN training looks" in (tmp_path / "out" / "index.html").read_text()
    assert len(list((tmp_path / "out").glob("attention_*.png"))) == 1
    with pytest.raises(InvalidSetting, match="was trained with anatomy_aware=0, so that it attends to nothing"):
        lowdose.similar_places(ct_pair.quarter, tmp_path / "plain")


def test_what_cannot_work_is_refused_and_leaves_nothing(
    run: Path, ct_pair: CTPair, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, hu = tmp_path / "out", np.zeros((1, 64, 64))
    with pytest.raises(
        InvalidSetting, match=r"has no mac_net\.safetensors; name the folder of a training with 'ascon' or 'alden'"
    ):
        lowdose.similar_places(hu, tmp_path, out, spacing=(3, 1, 1))
    other = write(tmp_path / "other", "critic", patch_critic(16, 2))
    with pytest.raises(IncompatibleCheckpoint, match="holds no MAC-Net"):
        lowdose.similar_places(hu, other, out, spacing=(3, 1, 1))
    arguments = ["explain", str(ct_pair.quarter), "--out", str(out), "--similarity", str(run)]
    assert cli.run([*arguments, "--layers", "2"]) == 2
    assert "--layers: chooses words, and --similarity shows none; leave it out" in capfd.readouterr().err
    assert not out.exists()
