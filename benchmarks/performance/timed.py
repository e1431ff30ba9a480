"""The denoisers that are timed, at the size at which they were published, with weights that denoise."""

from __future__ import annotations

import torch

from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser

NAMES = ("red_cnn", "esau_net", "fast")


def denoiser(name: str) -> Denoiser:
    """red_cnn: 96 channels, computing what the shipped `leda_red_cnn` of 32 does. esau_net: full width, random weights,
    for its attention cannot be widened so; what it rounds to is measured on `leda_esau_net` as well. Else a model.
    """
    torch.manual_seed(0)
    if name == "red_cnn":
        return widened(checkpoint.load_denoiser("leda_red_cnn").denoiser, 96)
    if name == "esau_net":
        return Denoiser(NetworkSpec("esau_net", {}), Scale(zero=-1150.0, one=0.0)).eval()
    return checkpoint.load_denoiser(name).denoiser


def widened(narrow: Denoiser, channels: int) -> Denoiser:
    """A RED-CNN with every channel several times, and its outgoing weights shared out unevenly among them."""
    wide = Denoiser(NetworkSpec("red_cnn", {"channels": channels}), narrow.scale).eval()
    weights, there = narrow.network.state_dict(), wide.network.state_dict()
    for name, value in weights.items():
        there[name] = _grown(value, there[name].shape, transposed="decode" in name)
    wide.network.load_state_dict(there)
    return wide


def _grown(value: torch.Tensor, shape: torch.Size, transposed: bool) -> torch.Tensor:
    if value.ndim == 1:
        return value.repeat(shape[0] // value.shape[0])
    outgoing, incoming = (1, 0) if transposed else (0, 1)
    copies = shape[incoming] // value.shape[incoming]
    value = torch.cat([value] * (shape[outgoing] // value.shape[outgoing]), dim=outgoing)
    size = [copies, *value.shape]
    size[1 + outgoing] = 1
    share = torch.rand(size) + 0.5
    share = share / share.sum(dim=0)  # what the copies of a channel add up to
    return torch.cat([value * one for one in share], dim=incoming)
