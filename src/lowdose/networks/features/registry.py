"""Registry of all feature networks by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Window
from lowdose.networks.features import anatomy, backbones, convs
from lowdose.networks.features.base import FrozenFeatures
from lowdose.networks.features.input_transform import WHOLE
from lowdose.weights import files

RANDOM = "-random"
FEATURE_NETWORKS = (
    "anatomy",
    *convs.PLANS,
    *backbones.FAMILIES,
    f"anatomy{RANDOM}",
    *(f"{name}{RANDOM}" for name in convs.PLANS),
)


def load_features(
    name: str,
    weights: str | Path | None = None,
    *,
    layers: Sequence[str] | None = None,
    window: Window | None = None,
    fetch: bool = False,
) -> FrozenFeatures:
    """Load frozen features by name: the shipped 'anatomy', or one of ``FEATURE_NETWORKS`` with the user's weights.

    weights: for 'anatomy' a file that the recipe ``anatomy`` wrote, or None for the shipped one; for VGG and AlexNet a
    .safetensors or .pth file; for 'dinov2', 'clip' and 'resnet' a folder or a hub name. '<name>-random' has seeded
    random weights; it is never a fallback, and its name is in every result. layers: None takes the default layers of
    the network. window: HU that are mapped to the input range of natural-image networks, None takes all of
    [-1000, 2000] HU; 'anatomy' has windows of its own. fetch: whether a hub name may be downloaded.

    Raises InvalidSetting for an unknown name or layer, or an argument that the named features do not take, and
    IncompatibleCheckpoint or DownloadFailed, with instructions, when there are no usable weights.
    """
    if name not in FEATURE_NETWORKS:
        raise InvalidSetting(f"features '{name}' are not known; known are {', '.join(FEATURE_NETWORKS)}")
    family = name.removesuffix(RANDOM)
    if name != family and weights is not None:
        raise InvalidSetting(f"features '{name}' are random and take no weights ({weights}); '{family}' takes them")
    if family == "anatomy" and window is not None:
        raise InvalidSetting(f"features '{name}' have windows of their own and take none ({window})")
    if family in backbones.FAMILIES:
        return backbones.load_backbone_features(name, weights, layers, window or WHOLE, fetch=fetch)
    path = None if weights is None else Path(weights)
    if family == "anatomy":
        return (
            anatomy.load_anatomy_features(path, layers) if name == family else anatomy.random_anatomy_features(layers)
        )
    if name == family:
        return convs.load_conv_features(name, path, layers, window or WHOLE)
    return convs.random_conv_features(family, layers, window or WHOLE)


def load_identified(features: str) -> tuple[FrozenFeatures, str]:
    """Load 'NAME' or 'NAME:WEIGHTS', with a file, folder or hub name; return also the name with a hash of the weights.

    Raises what ``load_features`` raises.
    """
    name, _, weights = features.partition(":")
    network = load_features(name, weights or None)
    return network, f"{network.name} {hashlib.sha256(files.serialise_weights(network, {})).hexdigest()}"
