"""Denoising networks by name, each with its default size and the intensity scale it is trained in."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec

MAX_PARAMETERS = 10**9
"""Most parameters of a network whose size the user chooses: AdamW training stores four times as many values."""


@dataclass(frozen=True)
class DenoiserChoice:
    """A denoising network and the scale it is trained in.

    Attributes
    ----------
    network : NetworkSpec
        Name and settings of the network; settings of ``OPTIONAL_SETTINGS`` may be missing.
    scale : Scale
        Map between HU and the values that the network sees.
    """

    network: NetworkSpec
    scale: Scale = field(default_factory=Scale)


NON_NEGATIVE_SCALE = Scale(zero=-1150.0, one=2000.0)
"""Scale for networks that end with a ReLU: every HU of its range maps to a value >= 0."""

DENOISERS = {
    "cpce": DenoiserChoice(NetworkSpec("cpce", {"channels": 32}), NON_NEGATIVE_SCALE),
    "esau_net": DenoiserChoice(NetworkSpec("esau_net", {"width": 32})),
    "red_cnn": DenoiserChoice(NetworkSpec("red_cnn", {"channels": 96}), NON_NEGATIVE_SCALE),
    "shuffle_unet": DenoiserChoice(NetworkSpec("shuffle_unet", {"width": 48})),
    "unet": DenoiserChoice(NetworkSpec("unet", {"width": 32, "levels": 4})),
}

OPTIONAL_SETTINGS = {"shuffle_unet": {"slices": 1}, "unet": {"slices": 1}}
"""Settings of later versions with the value they have where they are missing, as in older checkpoints."""


def parse_denoiser(text: str) -> DenoiserChoice:
    """Parse 'NAME', or 'NAME:setting=number,...' for another size, as in 'red_cnn:channels=32'.

    Raises InvalidSetting for an unknown name or setting, and for a network that cannot be built.
    """
    name, colon, assignments = text.partition(":")
    if name not in DENOISERS:
        raise InvalidSetting(f"no network '{name}' to denoise with; there are {', '.join(DENOISERS)}")
    default = DENOISERS[name]
    settings = dict(default.network.settings)
    allowed = {**settings, **OPTIONAL_SETTINGS.get(name, {})}
    for part in assignments.split(",") if colon else []:
        key, sign, value = part.partition("=")
        if key not in allowed or not sign:
            raise InvalidSetting(
                f"network '{text}': '{part}' is no setting of {name}; write {name}:"
                f"{','.join(f'{k}={v}' for k, v in allowed.items())}, any of them"
            )
        settings[key] = _parse_positive_integer(value, f"network '{text}': {part}")
    spec = NetworkSpec(name, settings)
    _check_buildable(spec, text)
    return DenoiserChoice(spec, default.scale)


def _parse_positive_integer(text: str, where: str) -> int:
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
