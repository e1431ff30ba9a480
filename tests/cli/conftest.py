"""A tiny model and tiny patients, so that every command runs in seconds."""

from pathlib import Path

import pytest
import torch

from lowdose.hounsfield import Scale
from lowdose.io.dicom import new_series
from lowdose.io.dicom.derivation import new_uid
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from support import tiny_word_autoencoder
from support.scanned_patients import scan


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale())
    torch.nn.init.normal_(denoiser.network.out.weight, std=0.05)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(noise_sd=(1, 5), thickness_mm=(3, 3)), {})
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, each with a folder 'quarter' and a folder 'full' of DICOM."""
    root = tmp_path_factory.mktemp("pairs")
    for patient in (1, 2):
        made, study = scan(patient, slices=3), new_uid()
        for name, volume in (("quarter", made.low), ("full", made.full)):
            new_series.write_new_series(
                volume, root / f"p{patient}" / name, description=name, patient=f"SECRET-{patient}", study_uid=study
            )
    return root


@pytest.fixture(scope="session")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny one, untrained, in a file with words of its own."""
    return tiny_word_autoencoder.write(tmp_path_factory.mktemp("autoencoder") / "words.safetensors")
