"""A MAP-NN that smooths more with every depth, by weights that are set by hand."""

from __future__ import annotations

from pathlib import Path

import torch

from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.map_nn import MAPNN
from lowdose.training.denoisers import parse_denoiser


def write_smoothing_model(path: Path) -> Path:
    """Write a model of depth 5 that keeps no local means, and return its path."""
    chosen = parse_denoiser("map_nn:channels=1")
    denoiser = Denoiser(chosen.network, chosen.scale, stated_means_px=0.0)
    smooth_more_with_depth(denoiser.network, 0.4)  # type: ignore[arg-type]
    checkpoint.save_denoiser(path, denoiser, TrainingDomain(), {})
    return path


def smooth_more_with_depth(network: MAPNN, share: float) -> None:
    """Set the weights so that every repetition replaces a share of each pixel by the mean of its 3 x 3."""
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        network.unit.encode[0].weight[0, 0, 1, 1] = 1
        network.unit.join[-1].weight[0, 0] = 1  # of the conveying path, which has the image itself
        network.unit.decode[-1].weight[0, 0] = share / 9
        network.unit.decode[-1].weight[0, 0, 1, 1] -= share
