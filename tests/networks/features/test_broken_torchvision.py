"""A torchvision that was built for another torch must not take these features down with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.tiny_transformers import save

PROGRAM = """
import importlib.util, sys, torch
from lowdose.networks.features.registry import load_features
maps = load_features("dinov2", sys.argv[1])(torch.zeros(1, 1, 28, 28))
print(sorted(maps), importlib.util.find_spec("torchvision"))
"""


@pytest.mark.slow
def test_a_broken_torchvision_looks_absent(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    save("dinov2", tmp_path / "model")
    broken = tmp_path / "site" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    installed = tmp_path / "site" / "torchvision-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1\n")
    program = f"import sys; sys.path.insert(0, {str(broken.parent)!r})\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model")], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "['block1', 'block2', 'block3'] None\n", done.stderr
