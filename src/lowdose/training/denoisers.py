"""Denoising networks by name, each with its default size and the intensity scale it is trained in."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec, Number, constructor_defaults, find_network, network_names

MAX_PARAMETERS = 10**9
"""Most parameters of a network whose size the user chooses: AdamW training stores four times as many values."""

SLICES = "slices"
"""Setting that a spec states only where it is not 1: checkpoints of earlier versions lack it."""


@dataclass(frozen=True)
class DenoiserChoice:
    """A denoising network and the scale it is trained in.

    Attributes
    ----------
    network : NetworkSpec
        Name and settings of the network; ``slices`` may be missing.
    scale : Scale
        Map between HU and the values that the network sees.
    """

    network: NetworkSpec
    scale: Scale = field(default_factory=Scale)


def default_denoiser(name: str) -> DenoiserChoice:
    """Return the network called ``name`` with the settings and the scale that its class states.

    Raises InvalidSetting, listing the known ones, if there is none.
    """
    settings = _allowed_settings(name)
    if settings.get(SLICES) == 1:
        del settings[SLICES]
    return DenoiserChoice(NetworkSpec(name, settings), getattr(find_network(name), "scale", Scale()))


def _allowed_settings(name: str) -> dict[str, Number]:
    if name not in network_names():
        raise InvalidSetting(f"no network '{name}' to denoise with; there are {', '.join(network_names())}")
    return constructor_defaults(find_network(name))


def parse_denoiser(text: str) -> DenoiserChoice:
    """Parse 'NAME', or 'NAME:setting=number,...' for another size, as in 'red_cnn:channels=32'.

    Raises InvalidSetting for an unknown name or setting, and for a network that cannot be built.
    """
    name, colon, assignments = text.partition(":")
    default, allowed = default_denoiser(name), _allowed_settings(name)
    settings = dict(default.network.settings)
    for part in assignments.split(",") if colon else []:
        key, sign, value = part.partition("=")
        if key not in allowed or not sign:
            raise InvalidSetting(
                f"network '{text}': '{part}' is no setting of {name}; write {name}:"
                f"{','.join(f'{k}={v:d}' for k, v in allowed.items())}, any of them"
            )
        settings[key] = _parse_setting(value, allowed[key], f"network '{text}': {part}")
    spec = NetworkSpec(name, settings)
    _check_buildable(spec, text)
    return DenoiserChoice(spec, default.scale)


def _parse_setting(text: str, default: Number, where: str) -> int | bool:
    """Parse a number of the kind that ``default`` is."""
    if isinstance(default, bool):
        if text not in ("0", "1"):
            raise InvalidSetting(f"{where}: must be 0 or 1")
        return text == "1"
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidSetting(f"{where}: must be a whole number from 1")
    return int(text)


def _check_buildable(spec: NetworkSpec, text: str) -> None:
    """Raise InvalidSetting if the network cannot be built or is too large; its weights are not allocated."""
    try:
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in spec.build().parameters())
    except (IncompatibleCheckpoint, RuntimeError, OverflowError) as error:
        raise InvalidSetting(f"network '{text}': cannot be made ({error}); choose smaller numbers") from error
    if size > MAX_PARAMETERS:
        raise InvalidSetting(
            f"network '{text}': {size:,} parameters, at most {MAX_PARAMETERS:,}; choose smaller numbers"
        )
