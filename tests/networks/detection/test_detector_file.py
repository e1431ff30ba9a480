"""The detector comes back from its file with its size and weights, and what is none is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.networks.detection import detector_file
from lowdose.networks.detection.detector import LesionDetector
from lowdose.networks.detection.detector_file import load_detector, read_detector
from lowdose.weights import artefact
from lowdose.weights.artefact import serialise_artefact
from lowdose.weights.files import read_weights, serialise_weights


def written(run: Path, module: nn.Module, name: str = "detector") -> Path:
    """Write a module as a training does, and return its file."""
    path = run / "detector.safetensors"
    path.write_bytes(serialise_artefact(name, module, "lidnet", run.name, {}))
    return path


@pytest.mark.parametrize("size", [(4, 1, 8, 16), (2, 3, 4, 6)])
def test_it_comes_back_from_the_folder_and_from_the_file(tmp_path: Path, size: tuple[int, int, int, int]) -> None:
    detector = LesionDetector(*size)
    path = written(tmp_path, detector)
    found = load_detector(tmp_path)
    assert read_detector(tmp_path)[1] == read_detector(path)[1]
    assert not found.training
    assert not any(each.requires_grad for each in found.parameters())
    for name, value in detector.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=0)


def test_its_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, LesionDetector(4, 1, 8, 16))
    reads = list[Path]()
    for module in (detector_file, artefact):
        monkeypatch.setattr(module, "read_weights", lambda path: reads.append(path) or read_weights(path))
    read_detector(tmp_path)
    assert len(reads) == 1


def test_a_folder_without_one_and_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"has no detector\.safetensors; 'lowdose train lidnet'"):
        load_detector(tmp_path)
    with pytest.raises(InvalidSetting, match="no such file or folder"):
        load_detector(tmp_path / "elsewhere")


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, nn.Linear(1, 1), "critic")
    with pytest.raises(IncompatibleCheckpoint, match="holds a critic, which is no detector of lesions; 'lowdose train"):
        load_detector(tmp_path)
    path.write_bytes(serialise_weights(nn.Linear(1, 1), {"format": "lowdose-anatomy-1"}))
    with pytest.raises(IncompatibleCheckpoint, match="its format is 'lowdose-anatomy-1', which is no detector"):
        load_detector(path)
    written(tmp_path, nn.Linear(1, 1))
    with pytest.raises(IncompatibleCheckpoint, match=re.escape(f"{path}: its weights are not those of this version")):
        load_detector(path)
