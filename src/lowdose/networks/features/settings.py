"""The JSON files beside pretrained weights, which state the architecture and the normalisation of training images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.errors import IncompatibleCheckpoint
from lowdose.networks.features.input_transform import ChannelStatistics


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file with a JSON object. Raises IncompatibleCheckpoint for anything else."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IncompatibleCheckpoint(f"{path}: cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(settings, dict):
        raise IncompatibleCheckpoint(f"{path}: holds no settings by name; copy it again")
    return settings


def input_statistics(path: Path, statistics: ChannelStatistics, side: int) -> tuple[ChannelStatistics, int]:
    """Read the normalisation of inputs in [0, 1] and the side of training images from a preprocessor_config.json.

    ``statistics`` and ``side`` are returned where there is no such file, or the file does not state them. Raises
    IncompatibleCheckpoint for numbers without a meaning.
    """
    if not path.is_file():
        return statistics, side
    preprocessing = read_settings(path)
    try:
        return _normalisation(preprocessing, statistics), _side(preprocessing, side)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise IncompatibleCheckpoint(
            f"{path}: image_mean, image_std, rescale_factor or sizes have no meaning ({error}); copy it again, or "
            "remove it to take the usual numbers of the family"
        ) from error


def _normalisation(stated: Mapping[str, Any], default: ChannelStatistics) -> ChannelStatistics:
    # The file refers to images from 0 to 255 times the rescale factor; here, images are from 0 to 1.
    factor = 255 * float(stated.get("rescale_factor", 1 / 255)) if stated.get("do_rescale", True) else 255.0
    plain = not stated.get("do_normalize", True)
    mean = (0.0,) * 3 if plain else stated.get("image_mean", default.mean)
    std = (1.0,) * 3 if plain else stated.get("image_std", default.std)
    means, stds = ([float(value) / factor for value in values] for values in (mean, std))
    if len(means) != 3 or len(stds) != 3 or not all(0 < value < float("inf") for value in stds):
        raise ValueError(f"mean {mean}, deviation {std}: needs three each, the deviations above 0")
    return ChannelStatistics((means[0], means[1], means[2]), (stds[0], stds[1], stds[2]))


def _side(stated: Mapping[str, Any], default: int) -> int:
    cropped = stated.get("do_center_crop", "crop_size" in stated)
    size = stated.get("crop_size" if cropped else "size", default)
    if isinstance(size, Mapping):
        size = size.get("height", size.get("shortest_edge", default))
    if int(size) < 1:
        raise ValueError(f"size {size}: needs 1 or more")
    return int(size)
