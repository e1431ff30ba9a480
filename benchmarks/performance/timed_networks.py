"""Denoisers that the benchmarks time: at their published size, with weights that denoise."""

from __future__ import annotations

import torch

from lowdose.hounsfield import Scale
from lowdose.models import checkpoint
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser

NAMES = ("red_cnn", "esau_net", "fast")


def load_denoiser(name: str) -> Denoiser:
    """Return a denoiser by name.

    ``red_cnn`` has 96 channels and computes what the shipped `leda_red_cnn` of 32 channels does. ``esau_net`` has its
    full width and random weights, since its attention cannot be widened like that; its rounding errors are therefore
    measured on `leda_esau_net` as well. Any other name is a model's.
    """
    torch.manual_seed(0)
    if name == "red_cnn":
        return widen(checkpoint.load_denoiser("leda_red_cnn").denoiser, 96)
    if name == "esau_net":
        return Denoiser(NetworkSpec("esau_net", {}), Scale(zero=-1150.0, one=0.0)).eval()
    return checkpoint.load_denoiser(name).denoiser


def widen(narrow: Denoiser, channels: int) -> Denoiser:
    """Return a RED-CNN with every channel repeated and its outgoing weights shared unevenly among the copies."""
    wide = Denoiser(NetworkSpec("red_cnn", {"channels": channels}), narrow.scale).eval()
    weights, wider = narrow.network.state_dict(), wide.network.state_dict()
    for name, value in weights.items():
        wider[name] = _repeat_weights(value, wider[name].shape, transposed="decode" in name)
    wide.network.load_state_dict(wider)
    return wide


def _repeat_weights(value: torch.Tensor, shape: torch.Size, transposed: bool) -> torch.Tensor:
    if value.ndim == 1:
        return value.repeat(shape[0] // value.shape[0])
    outgoing, incoming = (1, 0) if transposed else (0, 1)
    copies = shape[incoming] // value.shape[incoming]
    value = torch.cat([value] * (shape[outgoing] // value.shape[outgoing]), dim=outgoing)
    size = [copies, *value.shape]
    size[1 + outgoing] = 1
    share = torch.rand(size) + 0.5
    share = share / share.sum(dim=0)  # the copies of a channel add up to the original
    return torch.cat([value * one for one in share], dim=incoming)
