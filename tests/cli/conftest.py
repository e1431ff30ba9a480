"""A tiny model and tiny patients, so that every command runs in seconds."""

from pathlib import Path

import pytest
import torch

from lowdose import checkpoint
from lowdose.checkpoint import Domain
from lowdose.hounsfield import Scale
from lowdose.io.dicom import fresh
from lowdose.io.dicom.pedigree import new_uid
from lowdose.networks.denoiser import Denoiser
from lowdose.physics import phantom
from lowdose.spec import Spec


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    denoiser = Denoiser(Spec("unet", {"width": 4, "levels": 2}), Scale())
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.05)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save(path, denoiser, Domain(noise_sd=(1, 5), thickness_mm=(3, 3)), {})
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, each with a folder 'quarter' and a folder 'full' of DICOM."""
    root = tmp_path_factory.mktemp("pairs")
    for patient in (1, 2):
        body = phantom.abdomen(3, patient, size=128, pixel_mm=3.0)
        study = new_uid()
        for name, dose in (("quarter", 0.25), ("full", 1.0)):
            scan = phantom.with_noise(body, 15.0, dose, patient)
            fresh.write_series(
                scan, root / f"p{patient}" / name, description=name, patient=f"SECRET-{patient}", study_uid=study
            )
    return root
