"""Validation during training runs on an engine and finds what plain PyTorch does, whatever the weights are by then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.hounsfield import SOFT_TISSUE, Scale
from lowdose.infer.engines import engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.metrics.fidelity import psnr
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.training.validation import validate_denoiser
from support.training_runs import paired_slices


def test_validation_follows_the_weights_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(engine_cache.FOLDER_VARIABLE, str(tmp_path))
    ran = list[str]()
    denoise = EngineDenoiser.denoise
    monkeypatch.setattr(EngineDenoiser, "denoise", lambda self, hu: ran.append(self.engine.name) or denoise(self, hu))
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale()).eval()
    item = paired_slices()[0]
    low, full = (SOFT_TISSUE.apply(image) for image in item.read())
    for scale in (0.02, 0.2):
        torch.nn.init.normal_(denoiser.network.out.weight, std=scale)
        clean = SOFT_TISSUE.apply(denoiser.denoise(torch.from_numpy(item.read()[0])[None, None])[0, 0].numpy())
        found = validate_denoiser(denoiser, [[item]])
        assert found["validation/psnr_soft_tissue"] == pytest.approx(psnr(clean, full, 1.0), abs=1e-3)
        assert found["validation/psnr_gain"] == pytest.approx(psnr(clean, full, 1.0) - psnr(low, full, 1.0), abs=1e-3)
    assert ran
    assert not list(tmp_path.rglob("measured.json"))
    assert np.isfinite(clean).all()
