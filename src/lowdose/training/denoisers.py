"""Denoising networks by name, each with the scale it is trained in: what any objective can be given to train."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec

MOST_PARAMETERS = 10**9
"""Of a network that can be asked for by numbers: an optimiser keeps four times as much."""


@dataclass(frozen=True)
class DenoiserChoice:
    """A network, all of its numbers given but for the OPTIONAL ones, and its scale."""

    network: NetworkSpec
    scale: Scale = field(default_factory=Scale)


NON_NEGATIVE_SCALE = Scale(zero=-1150.0, one=2000.0)
"""For networks that end with a ReLU: every value of the range maps to a number >= 0."""

DENOISERS = {
    "cpce": DenoiserChoice(NetworkSpec("cpce", {"channels": 32}), NON_NEGATIVE_SCALE),
    "esau_net": DenoiserChoice(NetworkSpec("esau_net", {"width": 32})),
    "red_cnn": DenoiserChoice(NetworkSpec("red_cnn", {"channels": 96}), NON_NEGATIVE_SCALE),
    "shuffle_unet": DenoiserChoice(NetworkSpec("shuffle_unet", {"width": 48})),
    "unet": DenoiserChoice(NetworkSpec("unet", {"width": 32, "levels": 4})),
}

OPTIONAL_SETTINGS = {"unet": {"slices": 1}}
"""Settings that came later, with what they are where they are not given: weights from before have no word of them."""


def parse_denoiser(text: str) -> DenoiserChoice:
    """'NAME', or 'NAME:setting=number,...' for another size: 'red_cnn:channels=32'.

    Raises InvalidSetting for an unknown name or setting, and for a network that cannot be made.
    """
    name, colon, given = text.partition(":")
    if name not in DENOISERS:
        raise InvalidSetting(f"no network '{name}' to denoise with; there are {', '.join(DENOISERS)}")
    usual = DENOISERS[name]
    settings = dict(usual.network.settings)
    allowed = {**settings, **OPTIONAL_SETTINGS.get(name, {})}
    for part in given.split(",") if colon else []:
        key, sign, value = part.partition("=")
        if key not in allowed or not sign:
            raise InvalidSetting(
                f"network '{text}': '{part}' is no setting of {name}; write {name}:"
                f"{','.join(f'{k}={v}' for k, v in allowed.items())}, any of them"
            )
        settings[key] = _whole(value, f"network '{text}': {part}")
    spec = NetworkSpec(name, settings)
    _check(spec, text)
    return DenoiserChoice(spec, usual.scale)


def _whole(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidSetting(f"{where}: must be a whole number from 1")
    return int(text)


def _check(spec: NetworkSpec, text: str) -> None:
    """Raises InvalidSetting for a network that cannot be made, or is too large; it takes no memory to find out."""
    try:
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in spec.build().parameters())
    except (IncompatibleCheckpoint, RuntimeError, OverflowError) as error:
        raise InvalidSetting(f"network '{text}': cannot be made ({error}); choose smaller numbers") from error
    if size > MOST_PARAMETERS:
        raise InvalidSetting(
            f"network '{text}': {size:,} parameters, at most {MOST_PARAMETERS:,}; choose smaller numbers"
        )
